from potluck.yaml_document import *  # noqa: F403, D100

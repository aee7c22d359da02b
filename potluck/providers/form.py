from potluck.yaml_form import *  # noqa: F403, D100

"""A chat of Open WebUI in the browser, in the words of whoever uses it."""

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

ANSWER_TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class ChatPage:
    """One browser page; `picture` takes screenshots into `folder`."""

    page: Page
    url: str
    folder: Path

    def open(self, *, model: str = "potluck") -> "ChatPage":
        """A new chat."""
        self.page.goto(f"{self.url}/?models={model}")
        self.entry.wait_for(timeout=ANSWER_TIMEOUT_MS)
        expect(self.page.locator("#model-selector-model-button")).to_contain_text(model)
        return self

    @property
    def entry(self) -> Locator:
        return self.page.locator("#chat-input")

    @property
    def answer(self) -> Locator:
        """The text of the last answer, without its thoughts."""
        return self.answers.last.locator("#response-content-container")

    @property
    def answers(self) -> Locator:
        return self.page.locator("#messages-container [role=listitem]").filter(
            has=self.page.locator("#response-content-container")
        )

    @property
    def questions(self) -> Locator:
        return self.page.locator("#messages-container .user-message")

    @property
    def card(self) -> Locator:
        """The card in which the model asks the user: its way back, the one button it always has."""
        return self.button("Previous")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def button_with(self, text: str) -> Locator:
        """A button whose text begins like this: options have a description, too."""
        return self.page.get_by_role("button", name=text)

    def turn_back(self) -> None:
        """Show the version before the last edit of the last message."""
        self.questions.last.get_by_role("button", name="Previous message").click()

    def say(self, text: str) -> None:
        self.entry.click()
        # Typed key by key, as people do: the editor rewrites some of it (`*` between digits).
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def wait_for(self, text: str) -> None:
        """The last answer holds this, and is at its end."""
        expect(self.answer).to_contain_text(text, timeout=ANSWER_TIMEOUT_MS)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        expect(self.button("Regenerate").last).to_be_visible(timeout=ANSWER_TIMEOUT_MS)
        expect(self.button("Stop")).to_have_count(0, timeout=ANSWER_TIMEOUT_MS)

    def ask(self, text: str, answer: str) -> None:
        """Say something, and wait for an answer that holds this."""
        count = self.answers.count()
        self.say(text)
        expect(self.answers).to_have_count(count + 1, timeout=ANSWER_TIMEOUT_MS)
        self.wait_for(answer)

    def thoughts(self) -> str:
        """What led to the last answer; unfolds it."""
        self.answers.last.get_by_role("button", name="Thought for").first.click()
        # It unfolds slowly.
        self.page.wait_for_timeout(500)
        self.page.mouse.move(0, 0)
        return self.answer.inner_text()

    def rewrite(self, text: str, *, nth: int = -1) -> None:
        """Replace a message of the user's, and have it answered anew."""
        question = self.questions.nth(nth)
        question.hover()
        question.get_by_role("button", name="Edit", exact=True).click()
        question.get_by_role("textbox").fill(text)
        question.get_by_role("button", name="Send", exact=True).click()

    def regenerate(self) -> None:
        """Have the last message answered once more."""
        self.button("Regenerate").last.click()
        self.page.get_by_role("button", name="Try Again").click()

    def attach(self, file: Path) -> None:
        """Add a file to the message that is being written."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("#input-menu-button").click()
            self.page.get_by_text("Upload Files").click()
        chooser.value.set_files(file)

    def picture(self, name: str) -> None:
        """Keep a screenshot of what the user sees."""
        self.page.screenshot(path=self.folder / f"{name}.png")

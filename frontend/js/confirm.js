// A button that asks once more before it does what cannot be undone.

/** `button` does `act` on its second press; `dialog` around it closes then, and closing it forgets the first. */
export function bindConfirmed(button, dialog, question, act) {
  const label = button.textContent;

  function ask(sure) {
    button.dataset.sure = sure ? "yes" : "";
    button.textContent = sure ? question : label;
  }

  button.addEventListener("click", () => {
    const sure = button.dataset.sure === "yes";
    ask(!sure);
    if (!sure) return;
    act();
    dialog.close();
  });
  dialog.addEventListener("close", () => ask(false));
}

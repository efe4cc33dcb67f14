// The cast: who the characters are, who is on stage, and the colour that the page takes from them.

const NOBODY = Object.freeze({ id: "", name: "Parley", greeting: "", color: "" });

/** The cast of a session. A character the server did not name is shown by its id. */
export function createCast() {
  let characters = [];
  let onStage = NOBODY;

  function find(id) {
    return characters.find((character) => character.id === id) ?? { ...NOBODY, id, name: id || NOBODY.name };
  }

  function enter(known, activeId) {
    characters = known;
    onStage = characters.find(({ id }) => id === activeId) ?? characters[0] ?? NOBODY;
    return onStage;
  }

  return { enter, find, onStage: () => onStage, all: () => characters };
}

/** Gives an element the character's accent colour. */
export function paint(element, character) {
  if (character.color && CSS.supports("color", character.color)) {
    element.style.setProperty("--accent", character.color);
  }
}

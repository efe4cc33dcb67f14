// The settings panel: the session's settings as the server holds them, and this browser's own.

import { listMicrophones } from "./audio-capture.js";

const STORAGE_KEY = "parley.preferences";
const DEFAULTS = Object.freeze({ volume: 1, microphone: "", theme: "", settings: {} });
const SURROUNDINGS = ["very quiet", "normal", "some noise", "noisy"];

const SHOWN = {
  silence_ms: (value) => `${(value / 1000).toFixed(2)} s`,
  pause_sensitivity: (value) => SURROUNDINGS[value],
  speed: (value) => `${Number(value).toFixed(2)} ×`,
  volume: (value) => `${Math.round(value * 100)} %`,
  temperature: (value) => Number(value).toFixed(1),
  answer_tokens: (value) => `${Math.round(value * 0.075) * 10} words`,
};
const NUMBERS = ["silence_ms", "pause_sensitivity", "speed", "temperature", "answer_tokens"];
const WORDS = ["language", "response_mode", "model", "character", "duplex", "speculation"];
const SWITCHES = ["adaptive_silence"];

/** What this browser remembers between visits: volume, microphone, theme and the settings of new sessions. */
export function loadPreferences(storage = localStorage) {
  let preferences;
  try {
    preferences = { ...DEFAULTS, ...JSON.parse(storage.getItem(STORAGE_KEY) ?? "{}") };
  } catch {
    preferences = { ...DEFAULTS };
  }
  return {
    get: (name) => preferences[name],
    set(name, value) {
      preferences = { ...preferences, [name]: value };
      storage.setItem(STORAGE_KEY, JSON.stringify(preferences));
    },
  };
}

/**
 * The panel in `dialog`. `on.patch(patch)` changes the session's settings, `on.volume(0..1)` and
 * `on.microphone(deviceId)` this browser's.
 */
export function createSettingsPanel(dialog, preferences, on) {
  const field = (name) => dialog.querySelector(`#${name}`);
  const pauses = [...dialog.querySelectorAll("input[name=pause]")];

  function showValue(name) {
    const output = dialog.querySelector(`output[for=${name}]`);
    if (!output) return;
    output.textContent = SHOWN[name](field(name).value);
    field(name).setAttribute("aria-valuetext", output.textContent);
  }

  function showPause(ms) {
    for (const pause of pauses) pause.checked = Number(pause.value) === Number(ms);
  }

  function patch(changed) {
    preferences.set("settings", { ...preferences.get("settings"), ...changed });
    on.patch(changed);
  }

  for (const name of NUMBERS) {
    field(name).addEventListener("input", () => {
      showValue(name);
      if (name === "silence_ms") showPause(field(name).value);
    });
    field(name).addEventListener("change", () => patch({ [name]: Number(field(name).value) }));
  }
  for (const name of WORDS) field(name).addEventListener("change", () => patch({ [name]: field(name).value.trim() }));
  for (const name of SWITCHES) field(name).addEventListener("change", () => patch({ [name]: field(name).checked }));
  for (const pause of pauses) {
    pause.addEventListener("change", () => {
      field("silence_ms").value = pause.value;
      showValue("silence_ms");
      patch({ silence_ms: Number(pause.value) });
    });
  }
  field("volume").value = preferences.get("volume");
  showValue("volume");
  field("volume").addEventListener("input", () => {
    showValue("volume");
    preferences.set("volume", Number(field("volume").value));
    on.volume(preferences.get("volume"));
  });
  field("microphone").addEventListener("change", () => {
    preferences.set("microphone", field("microphone").value);
    on.microphone(field("microphone").value);
  });

  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    return made;
  }

  async function showMicrophones() {
    const select = field("microphone");
    const microphones = await listMicrophones();
    const options = microphones.map(({ deviceId, label }, n) => option(deviceId, label || `Microphone ${n + 1}`));
    select.replaceChildren(option("", "The system's choice"), ...options);
    select.value = microphones.some(({ deviceId }) => deviceId === preferences.get("microphone"))
      ? preferences.get("microphone")
      : "";
  }

  /** The session's settings, who can write answers, and the cast. */
  function show({ settings, source, characters }) {
    field("character").replaceChildren(...characters.map(({ id, name }) => option(id, name)));
    field("characterRow").hidden = characters.length < 2;
    const languages = [...field("language").options].map(({ value }) => value);
    if (!languages.includes(settings.language)) field("language").append(option(settings.language, settings.language));
    for (const name of [...NUMBERS, ...WORDS]) {
      field(name).value = settings[name];
      if (name in SHOWN) showValue(name);
    }
    for (const name of SWITCHES) field(name).checked = settings[name];
    showPause(settings.silence_ms);
    const connected = source.mode === "llm" || source.detail === "";
    const [llm] = field("response_mode").options;
    llm.disabled = !connected;
    llm.textContent = connected ? `A language model${source.model ? ` (${source.model})` : ""}` : "A language model (none connected)";
    if (!connected && field("response_mode").value === "llm") field("response_mode").value = source.mode;
    for (const row of dialog.querySelectorAll(".llm-only")) row.hidden = field("response_mode").value !== "llm";
  }

  // A click beside the panel closes it; the dialog itself has no padding, so its own box is the backdrop.
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  navigator.mediaDevices?.addEventListener?.("devicechange", showMicrophones);

  return {
    show,
    showMicrophones,
    open() {
      showMicrophones();
      dialog.showModal();
    },
  };
}

const THEMES = ["", "light", "dark"];
const THEME_NAMES = { "": "as the system", light: "light", dark: "dark" };

/** Light, dark, or as the system has it; `button` goes through the three. */
export function bindTheme(button, preferences, onChange) {
  function apply() {
    const theme = preferences.get("theme");
    document.documentElement.dataset.theme = theme;
    button.ariaLabel = `Colours: ${THEME_NAMES[theme]}`;
    button.title = button.ariaLabel;
    onChange();
  }

  button.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const order = system === "dark" ? ["", "light", "dark"] : ["", "dark", "light"];
    preferences.set("theme", order[(order.indexOf(preferences.get("theme")) + 1) % THEMES.length]);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  apply();
}

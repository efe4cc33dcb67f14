// The character's presence: rings on still water. What the character says travels outwards, what the user says
// travels inwards, each in its own colour, so that one look tells who is speaking.

const RINGS = 22;
const POINTS = 120;
const HISTORY = 256;
// Frames of level history between one ring and the next: how fast a ripple travels.
const TRAVEL = 2.2;
const CALM_FRAME_MS = 40;

function readColor(element, property) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = getComputedStyle(element)[property];
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function mix(from, to, share) {
  return from.map((value, n) => Math.round(value + (to[n] - value) * share));
}

/** Speech levels span decades; the eye wants them even. */
function visible(level) {
  return Math.min(1, Math.sqrt(level * 5));
}

/**
 * Draws on `canvas` for as long as the page lives. `sample()` gives {mode, mic, voice}: the state's name and two RMS
 * levels 0..1. The CSS colours `color` and `border-top-color` of the canvas are the character's and the user's.
 */
export function startPresence(canvas, sample) {
  const context = canvas.getContext("2d");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const micHistory = new Float32Array(HISTORY);
  const voiceHistory = new Float32Array(HISTORY);
  let frames = 0;
  let lastDrawn = 0;
  let colors = null;
  let thinking = 0;
  let mic = 0;
  let voice = 0;

  function resize() {
    const ratio = Math.min(2, devicePixelRatio);
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
  }

  function recolor() {
    colors = { accent: readColor(canvas, "color"), user: readColor(canvas, "borderTopColor") };
  }

  /** `past` frames ago; between two frames, their mean by weight. */
  function remembered(history, past) {
    const whole = Math.floor(past);
    const share = past - whole;
    const at = (steps) => history[(frames - steps + HISTORY * 8) % HISTORY];
    return at(whole) * (1 - share) + at(whole + 1) * share;
  }

  function drawRing(ring, { x, y, radius, gap, time }) {
    const outwards = remembered(voiceHistory, ring * TRAVEL);
    const inwards = remembered(micHistory, (RINGS - ring) * TRAVEL);
    const loud = Math.max(outwards, inwards);
    const color = inwards > outwards ? mix(colors.accent, colors.user, Math.min(1, inwards * 3)) : colors.accent;
    const fading = (1 - ring / RINGS) ** 1.3;
    const alpha = Math.min(0.95, 0.05 + 0.42 * fading + loud * 0.75 * (0.35 + fading));
    context.strokeStyle = `rgba(${color[0]}, ${color[1]}, ${color[2]}, ${alpha})`;
    context.lineWidth = (0.9 + loud * 1.5) * Math.min(2, devicePixelRatio);
    context.beginPath();
    for (let point = 0; point <= POINTS; point += 1) {
      const angle = (point / POINTS) * 2 * Math.PI;
      const drift = 0.5 * Math.sin(3 * angle + time * 0.5 + ring * 0.21) + 0.5 * Math.sin(2 * angle - time * 0.37 - ring * 0.13);
      const ripple = 0.62 + 0.38 * Math.sin(5 * angle - time * 0.9 + ring * 0.32) * Math.sin(2 * angle + time * 0.4);
      // A swell that goes round while the character thinks, later on the outer rings.
      const swell = thinking * (0.5 + 0.5 * Math.cos(angle - time * 3.2 + ring * 0.24)) ** 6;
      const r = radius + gap * (ring * (1 + ring * 0.016) + drift * (0.3 + ring * 0.035) + loud * ripple * 2.1 + swell * 1.3);
      const px = x + r * Math.cos(angle);
      const py = y + r * Math.sin(angle);
      if (point === 0) context.moveTo(px, py);
      else context.lineTo(px, py);
    }
    context.stroke();
  }

  function drawHeart({ x, y, radius, time }) {
    const breath = still.matches ? 0 : 0.03 * Math.sin(time * 1.1);
    const r = radius * (0.78 + breath + voice * 0.2);
    const [red, green, blue] = mix(colors.accent, colors.user, Math.min(0.85, mic * 1.6));
    const glow = context.createRadialGradient(x, y, 0, x, y, r * 2.3);
    glow.addColorStop(0, `rgba(${red}, ${green}, ${blue}, ${0.36 + voice * 0.3 + mic * 0.2})`);
    glow.addColorStop(1, `rgba(${red}, ${green}, ${blue}, 0)`);
    context.fillStyle = glow;
    context.fillRect(x - r * 2.3, y - r * 2.3, r * 4.6, r * 4.6);
    const body = context.createRadialGradient(x - r * 0.35, y - r * 0.4, r * 0.1, x, y, r);
    const light = mix([red, green, blue], [255, 255, 255], 0.45);
    const dark = mix([red, green, blue], [20, 12, 40], 0.22);
    body.addColorStop(0, `rgb(${light.join()})`);
    body.addColorStop(0.55, `rgb(${red}, ${green}, ${blue})`);
    body.addColorStop(1, `rgb(${dark.join()})`);
    context.fillStyle = body;
    context.beginPath();
    context.arc(x, y, r, 0, 2 * Math.PI);
    context.fill();
  }

  function draw(now) {
    requestAnimationFrame(draw);
    const now_ = sample();
    const busy = now_.mic > 0.004 || now_.voice > 0.004 || now_.mode === "thinking";
    if (now - lastDrawn < (busy ? 15 : CALM_FRAME_MS) || canvas.width === 0) return;
    const steps = Math.max(1, Math.min(6, Math.round((now - lastDrawn) / 16.7)));
    lastDrawn = now;
    for (let n = 0; n < steps; n += 1) {
      mic += (visible(now_.mic) - mic) * 0.3;
      voice += (visible(now_.voice) - voice) * 0.3;
      frames += 1;
      micHistory[frames % HISTORY] = still.matches ? mic * 0.25 : mic;
      voiceHistory[frames % HISTORY] = still.matches ? voice * 0.25 : voice;
      thinking += ((now_.mode === "thinking" && !still.matches ? 1 : 0) - thinking) * 0.05;
    }
    if (!colors) recolor();
    context.clearRect(0, 0, canvas.width, canvas.height);
    const style = getComputedStyle(canvas);
    const size = Math.min(canvas.width, canvas.height * 1.25);
    const place = {
      x: canvas.width / 2,
      y: canvas.height * (Number.parseFloat(style.getPropertyValue("--heart-y")) || 0.38),
      radius: size * 0.115,
      gap: size * 0.021,
      time: still.matches ? 4 : now / 1000,
    };
    for (let ring = RINGS; ring >= 1; ring -= 1) drawRing(ring, { ...place, radius: place.radius * 0.98 });
    drawHeart(place);
  }

  new ResizeObserver(resize).observe(canvas);
  resize();
  requestAnimationFrame(draw);
  return { recolor };
}

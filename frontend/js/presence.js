// The character's presence: rings on still water. What the character says travels outwards, what the user says
// travels inwards, each in its own colour, so that one look tells who is speaking.

const RINGS = 22;
const POINTS = 96;
const HISTORY = 256;
// Frames of level history between one ring and the next: how fast a ripple travels.
const TRAVEL = 2.2;
// Between two pictures. The conversation's own machine may be the one that draws, without a graphics processor.
const BUSY_FRAME_MS = 20;
const CALM_FRAME_MS = 70;
const MAX_PIXEL_RATIO = 1.5;
const ROSE = [244, 114, 152];
const PAPER = [255, 250, 244];

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
    const ratio = Math.min(MAX_PIXEL_RATIO, devicePixelRatio);
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
    context.lineWidth = (0.9 + loud * 1.5) * Math.min(MAX_PIXEL_RATIO, devicePixelRatio);
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

  /** One closed curve of slow harmonics, filled. */
  function fillBlob({ x, y, time }, r, turn, fill) {
    context.fillStyle = fill;
    context.beginPath();
    for (let point = 0; point < POINTS; point += 1) {
      const angle = (point / POINTS) * 2 * Math.PI;
      const wave = Math.sin(2 * angle + time * 0.5 + turn) + 0.7 * Math.sin(3 * angle - time * 0.63 + 2 * turn);
      const reach = r * (1 + wave * (0.03 + 0.03 * Math.max(voice, thinking)));
      context.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
    }
    context.fill();
  }

  function drawHeart({ x, y, radius, time }) {
    const breath = still.matches ? 0 : 0.025 * Math.sin(time * 1.1);
    const r = radius * (0.84 + breath + voice * 0.16 - mic * 0.06);
    const body = mix(colors.accent, colors.user, mic * 0.3);
    const warm = mix(body, ROSE, 0.4);
    const pale = mix(body, PAPER, 0.5);
    const glow = context.createRadialGradient(x, y, r * 0.5, x, y, r * 2.4);
    glow.addColorStop(0, `rgba(${body.join()}, ${0.34 + voice * 0.3})`);
    glow.addColorStop(1, `rgba(${body.join()}, 0)`);
    context.fillStyle = glow;
    context.fillRect(x - r * 2.4, y - r * 2.4, r * 4.8, r * 4.8);
    const wash = context.createLinearGradient(x - r * 0.7, y - r, x + r * 0.6, y + r);
    wash.addColorStop(0, `rgb(${pale.join()})`);
    wash.addColorStop(0.48, `rgb(${body.join()})`);
    wash.addColorStop(1, `rgb(${warm.join()})`);
    fillBlob({ x, y, time }, r * 1.1, 1.9, `rgba(${body.join()}, 0.25)`);
    fillBlob({ x, y, time }, r, 0, wash);
    const veil = context.createRadialGradient(x + r * 0.25, y + r * 0.3, 0, x + r * 0.25, y + r * 0.3, r);
    veil.addColorStop(0, `rgba(${pale.join()}, ${0.3 + voice * 0.35})`);
    veil.addColorStop(1, `rgba(${pale.join()}, 0)`);
    fillBlob({ x, y, time }, r * 0.97, 0.4, veil);
  }

  function draw(now) {
    const sampled = sample();
    const busy = sampled.mic > 0.004 || sampled.voice > 0.004 || sampled.mode === "thinking";
    // Not one animation frame after the other: each asks the whole page to be looked at again.
    setTimeout(() => requestAnimationFrame(draw), busy ? BUSY_FRAME_MS : CALM_FRAME_MS);
    if (canvas.width === 0) return;
    const steps = Math.max(1, Math.min(6, Math.round((now - lastDrawn) / 16.7)));
    lastDrawn = now;
    for (let n = 0; n < steps; n += 1) {
      mic += (visible(sampled.mic) - mic) * 0.3;
      voice += (visible(sampled.voice) - voice) * 0.3;
      frames += 1;
      micHistory[frames % HISTORY] = still.matches ? mic * 0.25 : mic;
      voiceHistory[frames % HISTORY] = still.matches ? voice * 0.25 : voice;
      thinking += ((sampled.mode === "thinking" && !still.matches ? 1 : 0) - thinking) * 0.05;
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

// Whether the microphone is muted, as far as its sound can tell.

// Five seconds of 20 ms frames.
const MUTED_FRAMES = 250;

/**
 * Takes each frame's level and whether the page listens; gives whether to warn. Muted is a microphone that has given
 * nothing but exact zeros while it was listened to: a noise gate gives them as well, between words, and so says nothing
 * once there was a sound.
 */
export function createMutedWatch() {
  let zeros = 0;
  let sounded = false;

  return (level, listening) => {
    if (level !== 0) sounded = true;
    else if (listening) zeros += 1;
    return !sounded && zeros >= MUTED_FRAMES;
  };
}

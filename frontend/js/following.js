// The end of the conversation stays in view, unless the reader went up to read.

const NEAR_END_PX = 80;

/**
 * Watches `scroller`. A list that grows by itself (an opened table, a smaller window) is no wish of the reader's;
 * scrolling up is one, and it ends where the reader comes back to the end.
 */
export function createFollowing(scroller) {
  let following = true;
  let lastTop = 0;

  function toEnd() {
    following = true;
    scroller.scrollTop = scroller.scrollHeight;
    lastTop = scroller.scrollTop;
  }

  function keepEnd(change) {
    change();
    if (following) toEnd();
  }

  scroller.addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) following = true;
    else if (scrollTop < lastTop) following = false;
    lastTop = scrollTop;
  });
  // `toggle` does not bubble.
  scroller.addEventListener("toggle", ({ target }) => target.open && target.scrollIntoView({ block: "nearest" }), true);
  new ResizeObserver(() => following && toEnd()).observe(scroller);

  return { keepEnd, toEnd };
}

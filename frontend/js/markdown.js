// The marks of Markdown that language models write between their words: emphasis, code, links, headings and lists.
// Everything else stays the text that it is.

const MARKS = [
  { mark: "`", kind: "code" },
  { mark: "**", kind: "strong" },
  { mark: "*", kind: "em" },
  { mark: "_", kind: "em" },
];
const LINK = /!?\[([^[\]\n]+)\]\(([^()\s]*)(?:\s+"[^"\n]*")?\)/y;
const LINK_BEGUN = /!?\[([^[\]\n]+)\]\([^()\n]*$/y;
const ESCAPE = /\\([\\`*_#[\]~.!>+-])/y;
const FENCE = /^\s*(?:```|~~~)/;
const HEADING = /^ {0,3}#{1,6}\s+(.*?)(?:\s+#+)?\s*$/;
const BULLET = /^(\s*)[-*+]\s+/;
// Marks at the end of an unfinished line: what they will be is not known yet.
const UNDECIDED = /^ {0,3}#{1,6}\s*$|[*_`\\]+$/;

const isWord = (char) => /\w/.test(char ?? "");
const isSpace = (char) => char === undefined || /\s/.test(char);

/** Adds to the tree; text next to text is one text. */
function push(tree, ...nodes) {
  for (const node of nodes) {
    if (typeof node === "string" && typeof tree.at(-1) === "string") tree.push(tree.pop() + node);
    else if (node !== "") tree.push(node);
  }
}

function opens(text, at, mark) {
  if (!text.startsWith(mark, at) || isSpace(text[at + mark.length])) return false;
  if (mark === "`") return true;
  // As in 2**3 and snake_case, and as what is left of a longer mark.
  return !isWord(text[at - 1]) && text[at - 1] !== mark[0] && (mark === "**" || text[at + 1] !== mark);
}

/** Where the mark that opened before `from` is closed, or -1. */
function closing(text, from, mark) {
  for (let at = text.indexOf(mark, from + 1); at !== -1; at = text.indexOf(mark, at + 1)) {
    const after = text[at + mark.length];
    if (mark === "`") return at;
    if (isSpace(text[at - 1])) continue;
    if (mark === "**" ? after === "*" : text[at - 1] === mark || after === mark || isWord(after)) continue;
    return at;
  }
  return -1;
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** The tree of one line. `unfinished`: what is open at its end will be closed later. `within`: the marks around it. */
function inline(text, unfinished, within = "") {
  const tree = [];
  let at = 0;
  while (at < text.length) {
    const escape = match(ESCAPE, text, at);
    const link = match(LINK, text, at);
    const begun = unfinished ? match(LINK_BEGUN, text, at) : null;
    const opened = MARKS.find(({ mark }) => !within.includes(` ${mark} `) && opens(text, at, mark));
    if (escape) {
      push(tree, escape[1]);
      at += escape[0].length;
    } else if (link) {
      push(tree, ...inline(link[1], false, within), link[2] && link[2] !== link[1] ? ` (${link[2]})` : "");
      at += link[0].length;
    } else if (begun) {
      push(tree, ...inline(begun[1], false, within));
      at = text.length;
    } else if (opened) {
      at = pushMarked(tree, text, at, { ...opened, unfinished, within });
    } else {
      push(tree, text[at]);
      at += 1;
    }
  }
  return tree;
}

/** What the mark at `at` embraces, or the mark itself when nothing closes it. Gives where to go on. */
function pushMarked(tree, text, at, { mark, kind, unfinished, within }) {
  const from = at + mark.length;
  const end = closing(text, from, mark);
  if (end === -1 && !unfinished) {
    push(tree, mark);
    return from;
  }
  const inner = end === -1 ? text.slice(from) : text.slice(from, end);
  const children = kind === "code" ? [inner] : inline(inner, end === -1, `${within} ${mark} `);
  push(tree, { kind, children });
  return end === -1 ? text.length : end + mark.length;
}

function lineTree(line, unfinished) {
  const decided = unfinished ? line.replace(UNDECIDED, "") : line;
  const heading = decided.match(HEADING);
  if (heading) return [{ kind: "strong", children: inline(heading[1], unfinished) }];
  const bullet = decided.match(BULLET);
  if (!bullet) return inline(decided, unfinished);
  const tree = [];
  push(tree, `${bullet[1]}• `, ...inline(decided.slice(bullet[0].length), unfinished));
  return tree;
}

/**
 * The text as a tree: strings, and {kind: "strong"|"em"|"code", children} around some of them. An `unfinished` text is
 * being written, or was cut off: marks that are open at its end embrace the rest instead of showing.
 */
export function parse(text, { unfinished = false } = {}) {
  const tree = [];
  const lines = text.split("\n");
  let fenced = false;
  let code = [];
  for (const [n, line] of lines.entries()) {
    const isLast = n === lines.length - 1;
    if (FENCE.test(line)) {
      if (fenced) push(tree, { kind: "code", children: [code.join("\n")] }, isLast ? "" : "\n");
      fenced = !fenced;
      code = [];
    } else if (fenced) code.push(line);
    else push(tree, ...lineTree(line, unfinished && isLast), isLast ? "" : "\n");
  }
  if (fenced && code.length > 0) push(tree, { kind: "code", children: [code.join("\n")] });
  return tree;
}

/** DOM nodes of a tree; words are only ever text in them. */
export function toNodes(tree) {
  return tree.map((node) => {
    if (typeof node === "string") return document.createTextNode(node);
    const made = document.createElement(node.kind);
    made.append(...toNodes(node.children));
    return made;
  });
}

// `console.*` and `log`: any value as bounded text, without running the program's getters.
(() => {
  "use strict";
  const { Array, Date, Error, JSON, Map, Object, Promise, Reflect, RegExp, Set, String } = globalThis;
  const { kit, log: write } = globalThis.__lw;
  const { isObject, textOf } = kit;

  const LINE_MAX = 16384;
  const DEPTH_MAX = 4;
  const MEMBERS_MAX = 100;

  const json = JSON.stringify;
  const isoDate = uncurry(Date.prototype.toISOString);
  const regexText = uncurry(RegExp.prototype.toString);
  const mapSize = uncurry(Object.getOwnPropertyDescriptor(Map.prototype, "size").get);
  const setSize = uncurry(Object.getOwnPropertyDescriptor(Set.prototype, "size").get);
  const mapEntries = uncurry(Map.prototype.entries);
  const setValues = uncurry(Set.prototype.values);

  /** A method as a function of its `this`. */
  function uncurry(method) {
    return (self, ...rest) => Reflect.apply(method, self, rest);
  }

  /** Collects text up to a limit; what does not fit is counted. */
  class Page {
    text = "";
    full = false;

    add(piece) {
      if (this.full) return;
      const room = LINE_MAX - this.text.length;
      if (piece.length <= room) this.text += piece;
      else {
        this.text += piece.slice(0, room) + "…";
        this.full = true;
      }
    }
  }

  function print(page, value, depth, above) {
    if (page.full) return;
    if (typeof value === "string") return page.add(depth === 0 ? value : json(value.slice(0, LINE_MAX)));
    if (typeof value === "bigint") return page.add(bigText(value));
    if (!isObject(value)) return page.add(String(value));
    if (above.includes(value)) return page.add("[circular]");
    if (typeof value === "function") return page.add(`[function ${ownText(value, "name") || "(anonymous)"}]`);
    above.push(value);
    try {
      printObject(page, value, depth, above);
    } catch {
      page.add("<unprintable>");
    }
    above.pop();
  }

  /** A huge number takes longer to write than its text is worth. */
  function bigText(value) {
    return value > -(2n ** 256n) && value < 2n ** 256n ? String(value) + "n" : "[large bigint]";
  }

  function printObject(page, value, depth, above) {
    if (value instanceof Error) return page.add(errorText(value));
    if (value instanceof Promise) return page.add("[promise]");
    if (Array.isArray(value)) return printArray(page, value, depth, above);
    const tag = brand(value);
    if (tag !== undefined && typeof tag === "string") return page.add(tag);
    if (tag !== undefined) return printEntries(page, tag, depth, above);
    printMembers(page, value, depth, above);
  }

  /** The text of a date or regular expression, or the entries of a map or set; these read internal slots only. */
  function brand(value) {
    if (value instanceof Date) return isoDate(value);
    if (value instanceof RegExp) return regexText(value);
    if (value instanceof Map) return { name: "Map", size: mapSize(value), entries: mapEntries(value), pairs: true };
    if (value instanceof Set) return { name: "Set", size: setSize(value), entries: setValues(value), pairs: false };
    return undefined;
  }

  function printArray(page, array, depth, above) {
    const length = array.length;
    if (depth > DEPTH_MAX) return page.add(`[array of ${length}]`);
    page.add("[");
    for (let at = 0; at < length && at < MEMBERS_MAX && !page.full; at++) {
      if (at > 0) page.add(", ");
      printMember(page, array, String(at), depth, above);
    }
    page.add(length > MEMBERS_MAX ? `, … ${length - MEMBERS_MAX} more]` : "]");
  }

  function printMember(page, object, name, depth, above) {
    const member = Reflect.getOwnPropertyDescriptor(object, name);
    if (member === undefined) page.add("undefined");
    else if ("value" in member) print(page, member.value, depth + 1, above);
    else page.add("[getter]");
  }

  function printEntries(page, { name, size, entries, pairs }, depth, above) {
    page.add(`${name}(${size}) {`);
    let at = 0;
    for (const entry of entries) {
      if (at === MEMBERS_MAX || depth > DEPTH_MAX || page.full) {
        page.add(`, … ${size - at} more`);
        break;
      }
      page.add(at === 0 ? " " : ", ");
      print(page, pairs ? entry[0] : entry, depth + 1, above);
      if (pairs) {
        page.add(" => ");
        print(page, entry[1], depth + 1, above);
      }
      at += 1;
    }
    page.add(at === 0 ? "}" : " }");
  }

  function printMembers(page, object, depth, above) {
    if (depth > DEPTH_MAX) return page.add("{…}");
    const names = Object.keys(object);
    page.add("{");
    for (let at = 0; at < names.length && at < MEMBERS_MAX && !page.full; at++) {
      const name = names[at];
      page.add(at === 0 ? " " : ", ");
      page.add(/^[A-Za-z_$][\w$]{0,99}$/.test(name) ? name : json(name.slice(0, LINE_MAX)));
      page.add(": ");
      printMember(page, object, name, depth, above);
    }
    if (names.length > MEMBERS_MAX) page.add(`, … ${names.length - MEMBERS_MAX} more`);
    page.add(names.length === 0 ? "}" : " }");
  }

  function ownText(value, name) {
    const member = Reflect.getOwnPropertyDescriptor(value, name);
    return member !== undefined && typeof member.value === "string" ? member.value.slice(0, 100) : undefined;
  }

  function errorText(error) {
    const name = textOf(error, "name", 100) ?? "Error";
    const code = textOf(error, "code", 100);
    const message = textOf(error, "message", 4000) ?? "<unprintable>";
    const hint = textOf(error, "hint", 1000);
    return `${name}${code === undefined ? "" : ` ${code}`}: ${message}${hint === undefined ? "" : ` (hint: ${hint})`}`;
  }

  function textFor(values) {
    const page = new Page();
    for (let at = 0; at < values.length; at++) {
      if (at > 0) page.add(" ");
      try {
        print(page, values[at], 0, []);
      } catch {
        page.add("<unprintable>"); // a proxy may throw wherever it is touched
      }
    }
    return page.text;
  }

  const writer = (name, level) => ({ [name]: (...values) => write(level, textFor(values)) })[name];

  kit.log = writer("log", "log");
  kit.console = {
    log: writer("log", "log"),
    info: writer("info", "info"),
    warn: writer("warn", "warn"),
    error: writer("error", "error"),
    debug: writer("debug", "debug"),
    trace: writer("trace", "debug"),
  };
})();

// `structuredClone` for plain data: what JSON holds, and dates, maps, sets, regular expressions, errors and cycles.
(() => {
  "use strict";
  const { Array, ArrayBuffer, DataView, Date, Error, Map, Object, Promise, Reflect, RegExp, Set } = globalThis;
  const { TypeError, Uint8Array, WeakMap, WeakSet } = globalThis;
  const { kit } = globalThis.__lw;
  const { describe, isObject } = kit;

  const timeOf = Date.prototype.getTime;
  const entriesOf = Map.prototype.entries;
  const valuesOf = Set.prototype.values;
  const bufferSlice = ArrayBuffer.prototype.slice;
  const typedSlice = Reflect.getPrototypeOf(Uint8Array).prototype.slice;

  const NEVER = [Promise, WeakMap, WeakSet, DataView];
  const notData = (value) => new TypeError(`structuredClone: ${describe(value)} cannot be cloned`);

  function structuredClone(value) {
    return copy(value, new Map());
  }

  function copy(value, copies) {
    if (typeof value === "function" || typeof value === "symbol") {
      throw notData(value);
    }
    if (!isObject(value)) return value;
    const known = copies.get(value);
    if (known !== undefined) return known;
    const result = emptyLike(value);
    copies.set(value, result);
    if (value instanceof Map) {
      for (const [key, member] of Reflect.apply(entriesOf, value, []))
        result.set(copy(key, copies), copy(member, copies));
    } else if (value instanceof Set) {
      for (const member of Reflect.apply(valuesOf, value, [])) result.add(copy(member, copies));
    } else if (!(value instanceof Date) && !(value instanceof RegExp) && !isBinary(value)) {
      copyMembers(value, result, copies);
    }
    return result;
  }

  const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);

  function copyMembers(value, result, copies) {
    const names = value instanceof Error ? ["name", "message", "stack", "cause"] : Object.keys(value);
    for (const name of names) {
      if (value instanceof Error && !Object.hasOwn(value, name)) continue;
      const member = copy(value[name], copies);
      Object.defineProperty(result, name, {
        value: member,
        writable: true,
        enumerable: !(value instanceof Error),
        configurable: true,
      });
    }
  }

  function emptyLike(value) {
    if (Array.isArray(value)) return new Array(value.length);
    if (value instanceof Map) return new Map();
    if (value instanceof Set) return new Set();
    if (value instanceof Date) return new Date(Reflect.apply(timeOf, value, []));
    if (value instanceof RegExp) return new RegExp(value.source, value.flags);
    if (value instanceof Error) return Object.setPrototypeOf(new Error(), Reflect.getPrototypeOf(value));
    if (value instanceof ArrayBuffer) return Reflect.apply(bufferSlice, value, [0]);
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Reflect.apply(typedSlice, value, []);
    for (const type of NEVER) if (value instanceof type) throw notData(value);
    return {};
  }

  kit.structuredClone = structuredClone;
})();

const p = new Proxy({}, { getPrototypeOf() { for (;;); }, get() { return p }, apply() { return p } });
throw p
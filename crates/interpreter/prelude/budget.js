// `budget`: what was spent and what is left, read from the control block that the host fills before each turn.
(() => {
  "use strict";
  const { Object } = globalThis;
  const { budget: figure, kit } = globalThis.__lw;

  /** One pair of figures: `at` is what was spent, `at + 1` the ceiling, `Infinity` when there is none. */
  function meter(at) {
    return {
      get total() {
        const ceiling = figure(at + 1);
        return ceiling === Infinity ? null : ceiling;
      },
      spent() {
        return figure(at);
      },
      remaining() {
        const left = figure(at + 1) - figure(at);
        return left > 0 ? left : 0;
      },
    };
  }

  kit.budget = Object.defineProperties(meter(0), {
    tokens: { value: meter(2), enumerable: true },
    usd: { value: meter(4), enumerable: true },
  });
})();

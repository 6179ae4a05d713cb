class A extends Array { static get [Symbol.species]() { return function () { return new Proxy([], { defineProperty() { for (;;); } }) } } }
A.of(1, 2, 3).map((x) => x)
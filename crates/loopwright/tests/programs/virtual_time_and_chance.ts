// The clock and Math.random replay exactly.
const began = Date.now();
await sleep(3);
const waited = Date.now() - began >= 3;
const drawn: number[] = Array.from({ length: 4 }, () => Math.random());
const order = [..."abcdef"].sort(() => Math.random() - 0.5).join("");
({ began, iso: new Date().toISOString(), waited, drawn, order });

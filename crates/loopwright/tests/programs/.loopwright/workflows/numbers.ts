export const double = (n: number): number => 2 * n;
export function describe(n: number): string { return `twice ${n} is ${double(n)}`; }

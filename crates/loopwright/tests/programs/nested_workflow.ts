// Saved programs share caps and budget; the nested one sees its own arguments.
const inner = await Promise.all([1, 2, 3].map((n) => workflow("inner", { n }).catch((error: Error) => error.message)));
({ inner, spent: budget.spent() });

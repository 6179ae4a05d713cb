const files = (await tools.glob({ pattern: "*.ts" })).split("\n").filter(Boolean);
const found = await tools.grep({ pattern: "await", glob: "*.ts" });
const refused = await tools.readFile({ path: "../../../../etc/passwd" }).then(() => "read", (error: Error) => error.name);
console.log("files", files.length, { nested: [1, { two: 2 }] });
({ files: files.length, matches: found.split("\n").length > 3, refused });

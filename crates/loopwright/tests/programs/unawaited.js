// What is not awaited is awaited before the run ends; a failure nobody handles makes the run degraded.
for (let n = 0; n < 5; n++) task({ description: `in the background ${n}`, retries: 1 });
'returned at once'

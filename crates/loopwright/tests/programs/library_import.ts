import { fanOut, mapReduce as reduce } from "loopwright:patterns";
import { double, describe } from "library:numbers";
const known = [typeof fanOut, typeof reduce];
({ known, doubled: [1, 2, 3].map(double), text: describe(4) });

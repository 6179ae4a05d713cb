// Classify and act, LangChain dialect: one cheap look decides which specialist does the work.
//   loopwright run examples/patterns/classify_and_act.task.ts --model mock
type Kind = "bug" | "question" | "feature";

const tickets = [
  "The export button does nothing on Safari",
  "How do I rotate an API key?",
  "Please add dark mode",
  "Crash when the file name has a space",
];

const specialist: Record<Kind, string> = {
  bug: "Reproduce the defect and name the component at fault",
  question: "Answer from the manual, in two sentences",
  feature: "Write the user story and its acceptance test",
};

const answered = await Promise.all(
  tickets.map(async (ticket) => {
    const { kind } = await task({
      description: `Classify this ticket: ${ticket}`,
      label: `classify: ${ticket}`,
      responseSchema: {
        type: "object",
        properties: { kind: { enum: ["bug", "question", "feature"] } },
        required: ["kind"],
        additionalProperties: false,
      },
    });
    const answer = await task({
      description: `${specialist[kind as Kind]}.\n\nTicket: ${ticket}`,
      label: `${kind}: ${ticket}`,
    });
    return { ticket, kind, answer };
  }),
);

answered;

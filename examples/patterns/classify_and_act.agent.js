// Classify and act, Claude Code dialect.
//   loopwright run examples/patterns/classify_and_act.agent.js --model mock
export const meta = {
  name: 'classify-and-act',
  description: 'One cheap look decides which specialist handles each ticket',
  phases: [{ title: 'Classify' }, { title: 'Act' }],
};

const TICKETS = [
  'The export button does nothing on Safari',
  'How do I rotate an API key?',
  'Please add dark mode',
  'Crash when the file name has a space',
];

const KIND = {
  type: 'object',
  properties: { kind: { enum: ['bug', 'question', 'feature'] } },
  required: ['kind'],
};

const SPECIALIST = {
  bug: 'Reproduce the defect and name the component at fault',
  question: 'Answer from the manual, in two sentences',
  feature: 'Write the user story and its acceptance test',
};

const answered = await pipeline(
  TICKETS,
  (ticket) => agent(`Classify this ticket: ${ticket}`, { schema: KIND, phase: 'Classify' }),
  (seen, ticket) =>
    agent(`${SPECIALIST[seen.kind]}.\n\nTicket: ${ticket}`, { label: ticket, phase: 'Act' })
      .then((answer) => ({ ticket, kind: seen.kind, answer })),
);

return answered.filter(Boolean);

/** What the demo asks, per file of examples/documents: short questions whose answers stand in the text. */
export const questions = {
  'federalist_10.txt': [
    'Who is the author of this paper?',
    'What does the author understand by a faction?',
    'What is the most common and durable source of factions?',
  ],
  'scotus_greene_v_fisher.txt': [
    'Which justice delivered the opinion of the Court?',
    'What did Eric Greene and his co-conspirators rob?',
    'Of what crime did the jury convict Greene?',
  ],
  'federalist_51.txt': [
    'In which journal was this paper published, and on what day?',
    'What must be made to counteract ambition?',
    'What would be unnecessary if men were angels?',
  ],
};

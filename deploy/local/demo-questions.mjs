/** What the demo asks, per file of examples/documents; short questions, for the default model is a very small one. */
export const questions = {
  'federalist_10.txt': [
    'What is this paper about?',
    'To whom is this paper addressed?',
    'What is the difference between a democracy and a republic?',
  ],
  'scotus_greene_v_fisher.txt': [
    'What is this case about?',
    'Of what crime did the jury convict Greene?',
    'In which state was the grocery store?',
  ],
  'federalist_51.txt': [
    'What is this paper about?',
    'What is the end of government?',
    'What is the great security against a concentration of powers?',
  ],
};

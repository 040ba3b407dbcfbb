import type { Figure } from './measurement.js';
import type { Trial } from './rounds.js';
import type { BatchRequest, PeerReuse } from './side.js';
import { atBudgets, longhaulLabel, peerLabel, type Sides } from './sides.js';

/** The whole job: several documents, several questions on each; against the peer with and without reuse of a prefix. */
export async function measureBatch(sides: Sides): Promise<void> {
  await sides.measure([...longhaulTrials(sides), ...(await peerTrials(sides))]);
}

const WITHOUT = 'peer without prefix reuse';
const WITH = 'peer with prefix reuse';

function longhaulTrials({ longhaul, settings, texts }: Sides): Trial[] {
  const work = batch({ settings, texts });
  return [...atBudgets(settings.batchBudgets), ...atBudgets(settings.batchBudgets, 'merging')].map((variant) => {
    const common = { section: 'batch', side: 'longhaul', variant: longhaulLabel(variant) } as const;
    return {
      figures: [
        { ...common, work: WITHOUT, unit: 's' },
        { ...common, work: WITH, unit: 's' },
        { ...common, work: 'answers', unit: 'tokens' },
      ],
      once: async () => {
        const { seconds, answerTokens } = await longhaul.batch({ ...work, variant });
        return [seconds, seconds, answerTokens];
      },
    };
  });
}

async function peerTrials(sides: Sides): Promise<Trial[]> {
  const { peer, settings } = sides;
  const whole = batch(sides);
  const items = settings.documents * settings.questions;
  const measuredItems = Math.min(settings.peerItems, settings.questions);
  const measuredDocuments = Math.min(settings.peerDocuments, settings.documents);
  const oneByOne = {
    work: { ...whole, documents: whole.documents.slice(0, 1), questions: whole.questions.slice(0, measuredItems) },
    scale: items / measuredItems,
    note: `measured ${measuredItems} of ${items} items, scaled`,
  };
  const reusing = {
    work: { ...whole, documents: whole.documents.slice(0, measuredDocuments) },
    scale: settings.documents / measuredDocuments,
    note:
      measuredDocuments === settings.documents
        ? 'measured whole'
        : `measured ${measuredDocuments} of ${settings.documents} documents, scaled`,
  };
  const trials: Trial[] = [];
  for (const settled of await sides.peerVariants(settings.documentTokens)) {
    for (const reuse of ['none', 'sequence', 'parallel'] satisfies PeerReuse[]) {
      const variant = { ...settled, reuse };
      const { work, scale, note } = reuse === 'none' ? oneByOne : reusing;
      const common = { section: 'batch', side: 'peer', variant: peerLabel(variant) } as const;
      const figures: Figure[] = [
        { ...common, work: reuse === 'none' ? WITHOUT : WITH, unit: 's', note },
        { ...common, work: 'answers', unit: 'tokens', note },
      ];
      const once = async () => {
        const { seconds, answerTokens } = await peer.batch({ ...work, variant });
        return [seconds * scale, answerTokens * scale];
      };
      trials.push({ figures, once });
    }
  }
  return trials;
}

function batch({ settings, texts }: Pick<Sides, 'settings' | 'texts'>): Omit<BatchRequest<never>, 'variant'> {
  return {
    documents: Array.from({ length: settings.documents }, (_, i) => texts.document(settings.documentTokens, i)),
    questions: texts.questions(settings.questions),
    answerTokens: settings.answerTokens,
  };
}

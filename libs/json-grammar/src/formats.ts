const DATE = [
  '[0-9]{4}-(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])',
  '[0-9]{4}-(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)',
  '[0-9]{4}-02-(?:0[1-9]|1[0-9]|2[0-8])',
  // Leap years of the Gregorian calendar.
  '(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29',
].join('|');
const TIME = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])';
/** At most 32 of the 63 characters, and 7 labels, so that no name is longer than 253. */
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?';
/** Four of them and the points between are at most 64 characters. */
const ATOM = "[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,15}";
const BYTE = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const GROUP = '[0-9a-f]{1,4}';
/** Two colons stand for one group or more. */
const SHORTENED = Array.from(
  { length: 7 },
  (_, before) => `${before === 0 ? ':' : `(?:${GROUP}:){${before}}`}:(?:(?:${GROUP}:){0,${6 - before}}${GROUP})?`,
);
const [YEARS, MONTHS, DAYS, HOURS, MINUTES, SECONDS] = [...'YMDHMS'].map((unit) => `[0-9]{1,4}${unit}`);

/** Formats of strings (JSON Schema 2020-12, section 7.3) as regular expressions; some know less than the format allows, none more. */
export const FORMATS: Readonly<Record<string, string>> = {
  date: `^(?:${DATE})$`,
  time: `^${TIME}$`,
  'date-time': `^(?:${DATE})T${TIME}$`,
  /** RFC 3339, appendix A. */
  duration:
    `^P(?:(?:${YEARS}(?:${MONTHS}(?:${DAYS})?)?|${MONTHS}(?:${DAYS})?|${DAYS})` +
    `(?:T(?:${HOURS}(?:${MINUTES}(?:${SECONDS})?)?|${MINUTES}(?:${SECONDS})?|${SECONDS}))?` +
    `|T(?:${HOURS}(?:${MINUTES}(?:${SECONDS})?)?|${MINUTES}(?:${SECONDS})?|${SECONDS})|[0-9]{1,4}W)$`,
  email: `^${ATOM}(?:\\.${ATOM}){0,3}@(?:${LABEL}\\.){1,6}${LABEL}$`,
  hostname: `^${LABEL}(?:\\.${LABEL}){0,6}$`,
  ipv4: `^${BYTE}(?:\\.${BYTE}){3}$`,
  ipv6: `^(?:(?:${GROUP}:){7}${GROUP}|${SHORTENED.join('|')})$`,
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
};

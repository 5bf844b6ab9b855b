/** Which profiles there are.  [manual 3, 5.40, 5.41] */
import { names } from '../param.js';

export const profileParams = {
  profiles_with_value: names({
    default: [],
    maxNames: 64,
    section: '5.40',
    doc: 'Profiles that count each value apart, such as the calls of one caller.',
  }),
  profiles_no_value: names({
    default: [],
    maxNames: 64,
    section: '5.41',
    doc: 'Profiles that only count.',
  }),
} as const;

import '@app/config'; import { foo } from '@app/kv-policy'; console.log(foo);

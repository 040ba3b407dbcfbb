import { describe, expect, it } from 'vitest';
import { CreateBatchDto } from '../batches/create-batch.dto.js';
import { CreateFileDto } from '../files/create-file.dto.js';
import { CreateJobDto } from '../jobs/create-job.dto.js';
import { NoFieldsDto } from './no-fields.dto.js';
import { RequestPipe } from './validation.js';

const pipe = new RequestPipe();
const read = (metatype: new () => object, value: unknown) => pipe.transform(value, { type: 'body', metatype });
const batch = { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h' };

describe('RequestPipe', () => {
  it('keeps what callers name as they like', () => {
    const metadata = JSON.parse('{"constructor":"Ferrari","prototype":"F1-75","__proto__":"x"}') as object;
    expect((read(CreateBatchDto, { ...batch, metadata }) as CreateBatchDto).metadata).toBe(metadata);
    const options = { response_format: { constructor: { prototype: 1 } } };
    const job = read(CreateJobDto, { documents: ['a'], questions: ['b'], options, metadata }) as CreateJobDto;
    expect(job).toMatchObject({ options, completion_window: '24h', documents: ['a'] });
    expect(job.metadata).toBe(metadata);
  });

  it.each([
    [CreateFileDto, { purpose: 'batch', expires_after: { anchor: 'created_at', constructor: 'x' } }, 'expires_after'],
    [CreateBatchDto, { ...batch, output_expires_after: { constructor: {} } }, 'output_expires_after'],
    [NoFieldsDto, {}, ''],
  ])('refuses anywhere else the names that every object has', (type, value, field) => {
    const param = field === '' ? 'constructor' : `${field}.constructor`;
    const given = field === '' ? { ...value, constructor: 1 } : value;
    expect(() => read(type, given)).toThrow(expect.objectContaining({ status: 400, param, code: 'unknown_parameter' }));
  });

  it('makes nothing of a missing body an empty request', () => {
    expect(read(NoFieldsDto, undefined)).toEqual({});
    expect(pipe.transform('id', { type: 'param', metatype: String })).toBe('id');
  });
});

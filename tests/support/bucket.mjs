// What the media storage really holds, seen past the server: the folder of the embedded storage, or an S3 bucket.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { randomBytes } from 'node:crypto';
import { listFiles } from './server.mjs';

export function bucketOf(server) {
  return server.env.PARLEY_S3_ENDPOINT ? new S3Bucket(server.env) : new FolderBucket(path.join(server.dataDir, 'media'));
}

// objects/OUTER/INNER/KEY, multipart/ID/upload and multipart/ID/00001 ...
export class FolderBucket {
  constructor(folder) {
    this.folder = folder;
  }

  #fileOf(key) {
    return path.join(this.folder, 'objects', key.slice(0, 4), key.slice(4, 7), key);
  }

  async keys() {
    return listFiles(path.join(this.folder, 'objects')).map((file) => path.basename(file)).sort();
  }

  async contains(bytes) {
    return listFiles(this.folder).some((file) => readFileSync(file).includes(bytes));
  }

  async copy(from, to) {
    mkdirSync(path.dirname(this.#fileOf(to)), { recursive: true });
    cpSync(this.#fileOf(from), this.#fileOf(to));
  }

  async remove(key) {
    rmSync(this.#fileOf(key));
  }

  // Puts in the object's place what cannot be deleted.
  async block(key) {
    rmSync(this.#fileOf(key));
    mkdirSync(path.join(this.#fileOf(key), 'full'), { recursive: true });
  }

  // The ids of multipart uploads that are neither completed nor aborted.
  async uploads() {
    const folder = path.join(this.folder, 'multipart');
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }

  // Begins another upload like the given one.
  async repeatUpload(id) {
    const folder = path.join(this.folder, 'multipart');
    const other = randomBytes(id.length / 2).toString('hex');
    cpSync(path.join(folder, id), path.join(folder, other), { recursive: true });
    return other;
  }
}

// Needs the packages of tests/package.json.
export class S3Bucket {
  constructor(env) {
    this.bucket = env.PARLEY_S3_BUCKET ?? 'parley';
    this.prefix = env.PARLEY_S3_PREFIX ?? '';
    this.options = {
      endpoint: env.PARLEY_S3_ENDPOINT,
      region: env.PARLEY_S3_REGION ?? 'us-east-1',
      forcePathStyle: (env.PARLEY_S3_STYLE ?? 'path') === 'path',
      credentials: { accessKeyId: env.PARLEY_S3_ACCESS_KEY, secretAccessKey: env.PARLEY_S3_SECRET_KEY },
    };
  }

  async #send(name, input) {
    const sdk = await import('@aws-sdk/client-s3');
    this.client ??= new sdk.S3Client(this.options);
    return this.client.send(new sdk[`${name}Command`]({ Bucket: this.bucket, ...input }));
  }

  async keys() {
    const keys = [];
    for (let token; ; ) {
      const page = await this.#send('ListObjectsV2', { Prefix: this.prefix, ContinuationToken: token });
      keys.push(...(page.Contents ?? []).map((object) => object.Key));
      token = page.NextContinuationToken;
      if (!token) return keys.sort();
    }
  }

  async contains(bytes) {
    for (const key of await this.keys()) {
      const { Body } = await this.#send('GetObject', { Key: key });
      if (Buffer.from(await Body.transformToByteArray()).includes(bytes)) return true;
    }
    return false;
  }

  async copy(from, to) {
    await this.#send('CopyObject', { CopySource: `${this.bucket}/${from}`, Key: to });
  }

  async remove(key) {
    await this.#send('DeleteObject', { Key: key });
  }

  async #listUploads() {
    return (await this.#send('ListMultipartUploads', { Prefix: this.prefix })).Uploads ?? [];
  }

  async uploads() {
    return (await this.#listUploads()).map((upload) => upload.UploadId).sort();
  }

  async repeatUpload(id) {
    const { Key } = (await this.#listUploads()).find((upload) => upload.UploadId === id);
    return (await this.#send('CreateMultipartUpload', { Key })).UploadId;
  }
}

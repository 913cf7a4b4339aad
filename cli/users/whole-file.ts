/** A file that holds secrets, written whole. */
import { open, rename, rm, stat } from 'node:fs/promises';
import { messageOf, SluiceError } from '../../core/errors.ts';

/** A new one is its owner's alone. */
const newFileMode = 0o600;

/**
 * Whoever reads it sees what was there before, or all that is there now, also after a loss of power. Throws CONFIG_INVALID
 * when it cannot be written.
 */
export async function writeWhole(target: string, text: string): Promise<void> {
  const draft = `${target}.new`;
  try {
    const mode = await stat(target).then(
      ({ mode }) => mode & 0o777,
      () => newFileMode,
    );
    await rm(draft, { force: true });
    const handle = await open(draft, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw new SluiceError('CONFIG_INVALID', `${target} cannot be written: ${messageOf(error)}`);
  }
}

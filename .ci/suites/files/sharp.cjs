// Uses sharp:
//
//   sharp.cjs FILE          prints what sharp says of an image, and decodes all pixels
//   sharp.cjs FILE hero     writes hero.webp with 1200x630 pixels
//   sharp.cjs FILE favicon  writes the files of a favicon set into public/
//   sharp.cjs FILE start    does nothing
const { mkdirSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const sharp = createRequire(`${process.env.ZAI_TEST_SHARP}/`)('sharp');

async function describe(file) {
  const { format, width, height, hasAlpha } = await sharp(file).metadata();
  await sharp(file).raw().toBuffer();
  console.log(JSON.stringify({ format, width, height, hasAlpha }));
}

// ico puts PNG files into the container of favicon.ico.
function ico(files, sides) {
  const header = Buffer.alloc(6 + 16 * files.length);
  header.writeUInt16LE(1, 2);
  header.writeUInt16LE(files.length, 4);
  let offset = header.length;
  files.forEach((file, i) => {
    const at = 6 + 16 * i;
    header.writeUInt8(sides[i], at);
    header.writeUInt8(sides[i], at + 1);
    header.writeUInt16LE(1, at + 4);
    header.writeUInt16LE(32, at + 6);
    header.writeUInt32LE(file.length, at + 8);
    header.writeUInt32LE(offset, at + 12);
    offset += file.length;
  });
  return Buffer.concat([header, ...files]);
}

const work = {
  start() {},
  async hero(file) {
    await sharp(file).resize(1200, 630, { fit: 'cover' }).webp({ quality: 90 }).toFile('hero.webp');
  },
  async favicon(file) {
    mkdirSync('public');
    const png = (side) => sharp(file).resize(side, side).png();
    const sides = [16, 32, 48];
    writeFileSync('public/favicon.ico', ico(await Promise.all(sides.map((side) => png(side).toBuffer())), sides));
    const others = { 'favicon-32x32': 32, 'apple-touch-icon': 180, 'icon-192': 192, 'icon-512': 512 };
    await Promise.all(Object.entries(others).map(([name, side]) => png(side).toFile(`public/${name}.png`)));
  },
};

(work[process.argv[3]] ?? describe)(process.argv[2]);

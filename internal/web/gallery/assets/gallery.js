// Every page of the gallery works without this script. It appends older images while the
// user scrolls, reports new ones, copies text and adds keys.
'use strict';

const find = (selector) => document.querySelector(selector);

// read returns a page of the gallery. It fails if the user is signed out.
async function read(address) {
  const response = await fetch(address, { redirect: 'error' });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), 'text/html');
}

// Older images: the link to the next page loads it when it comes near the window. If that
// fails, it remains a link until the user leaves the page and comes back.
let loading = false, failed = false;
async function appendWhenNear() {
  const near = 1200;
  const link = find('#older');
  if (loading || failed || !link || link.getBoundingClientRect().top > innerHeight + near) return;
  loading = true;
  try {
    append(await read(link.href));
  } catch {
    failed = true;
  }
  loading = false;
  appendWhenNear();
}

// append adds the days of a page. Its first day may be the last one of this page.
function append(page) {
  for (const day of page.querySelectorAll('.day')) {
    const known = document.getElementById(day.id);
    if (known) known.querySelector('.grid').append(...day.querySelector('.grid').children);
    else find('#days').append(day);
  }
  const link = page.querySelector('#older');
  if (link) find('#older').replaceWith(link);
  else find('#older').remove();
}

// New images: only the first page without a search has the notice.
async function countNew(notice, newest) {
  if (document.visibilityState !== 'visible') return;
  const page = await read(notice.href).catch(() => null);
  const ids = [...page?.querySelectorAll('.grid a') ?? []].map((a) => a.dataset.id);
  const count = ids.filter((id) => id > newest).length;
  if (!count) return;
  const more = count === ids.length && page.querySelector('#older') ? ' or more' : '';
  notice.textContent = `${count}${more} new image${count === 1 ? '' : 's'}`;
  notice.hidden = false;
}

// copy copies the text of an element. Without a secure connection pages have no clipboard
// and copy what is selected.
async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  let copied = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    source.closest('details')?.setAttribute('open', '');
    getSelection().selectAllChildren(source);
    copied = document.execCommand('copy');
  }
  const said = find('#said');
  said.textContent = copied ? 'Copied' : 'Selected; copy it with the keyboard';
  setTimeout(() => said.replaceChildren(), 4000);
}

// Keys: / searches; j, k and the arrows go to the older and the newer image.
function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  const step = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 }[event.key];
  const images = [...document.querySelectorAll('.grid a')];
  let target;
  if (event.key === '/') target = find('input[type=search]');
  else if (step && images.length) target = images[Math.max(0, images.indexOf(document.activeElement) + step)];
  else if (step) find(step > 0 ? '[rel=next]' : '[rel=prev]')?.click();
  else if (event.key === 'Escape') find('#list')?.click();
  if (!target) return;
  event.preventDefault();
  target.focus();
}

for (const event of ['scroll', 'resize']) addEventListener(event, appendWhenNear, { passive: true });
addEventListener('pageshow', () => {
  failed = false;
  appendWhenNear();
});
const notice = find('#news');
if (notice) setInterval(countNew, 15_000, notice, find('.grid a')?.dataset.id ?? '');
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', () => copy(button));
}
document.addEventListener('keydown', press);
document.addEventListener('mouseover', ({ target }) => {
  if (target.alt) target.title = target.alt;
});

// What of the chat element is too small, too pale or cut off; an empty list is good.
(minFont, minTarget) => {
  const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  // Relative luminance and contrast as WCAG 2.2 defines them.
  const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement || at.getRootNode().host) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const root = document.querySelector("minsheng-chat").shadowRoot;
  const faults = [];
  for (const node of root.querySelectorAll("*")) {
    const box = node.getBoundingClientRect();
    const style = getComputedStyle(node);
    if (!box.width || !box.height || style.visibility === "hidden" || node.closest(".unseen")) continue;
    const name = `${node.localName}.${node.className} ${node.textContent.trim().slice(0, 12)}`;
    const hasText = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
    if (hasText || node.localName === "textarea") {
      const ratio = contrast(luminance(numbers(style.color)), luminance(ground(node)));
      if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${name}`);
      if (parseFloat(style.fontSize) < minFont) faults.push(`font ${style.fontSize}: ${name}`);
    }
    if (["button", "textarea", "summary"].includes(node.localName) && (box.height < minTarget || box.width < 44)) {
      faults.push(`target ${box.width} x ${box.height}: ${name}`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
  const list = root.querySelector(".scroll");
  if (list.scrollWidth > list.clientWidth) faults.push("the list is cut at the side");
  return faults;
}

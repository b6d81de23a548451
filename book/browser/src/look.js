// What is wrong with the page as it is shown now: a list of lines, each with its element. A page that is printed has
// no backgrounds.
async ({ width, printed }) => {
    const NEEDED = { text: 4.5, "large text": 3, graphics: 3 }; // contrast, in WCAG 2.2 AA
    const BOXES = "pre, pre code, .table-wrapper, .drawing, .survey"; // which may scroll sideways
    const CONTROLS = "a[href], button, input, select, textarea, summary, [role=button], [tabindex]";
    const PICTURES = "img, svg, canvas, [role=img]";

    const found = new Map();
    const fault = (element, what) => found.set(what, [...(found.get(what) ?? []), element]);
    const styles = new Map();
    const style = (element) => {
        if (!styles.has(element)) styles.set(element, getComputedStyle(element));
        return styles.get(element);
    };
    const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });

    // Colours as [red, green, blue, alpha].
    const WHITE = [255, 255, 255, 1];
    const parse = (colour) => {
        const numbers = colour.match(/^rgba?\((.*)\)$/)?.[1].split(/[\s,/]+/).map(Number);
        if (!numbers) throw new Error(`cannot read the colour ${colour}`);
        return [...numbers, 1].slice(0, 4);
    };
    const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const luminance = (colour) => {
        const [r, g, b] = colour.slice(0, 3).map((value) => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    // The colours that may lie behind an element: one, or those of a gradient.
    const grounds = new Map();
    const ground = (element) => {
        if (!element || printed) return [WHITE];
        if (!grounds.has(element)) {
            const { backgroundColor, backgroundImage } = style(element);
            const below = ground(element.parentElement).map((colour) => over(parse(backgroundColor), colour));
            const stops = (backgroundImage.match(/rgba?\([^)]*\)/g) ?? []).map(parse);
            grounds.set(element, below.concat(stops.flatMap((stop) => below.map((colour) => over(stop, colour)))));
        }
        return grounds.get(element);
    };
    const opacities = new Map([[null, 1]]);
    const opacity = (element) => {
        if (!opacities.has(element)) opacities.set(element, style(element).opacity * opacity(element.parentElement));
        return opacities.get(element);
    };

    const contrast = (element, colour, kind) => {
        const [r, g, b, alpha] = parse(colour);
        const top = [r, g, b, alpha * opacity(element)];
        const worst = Math.min(...ground(element).map((below) => ratio(over(top, below), below)));
        const [has, needs] = [Math.floor(worst * 100) / 100, NEEDED[kind]];
        if (has < needs) fault(element, `the contrast of ${kind} in ${colour} is ${has}, and ${needs} is the least`);
    };
    const textContrast = (element, { color, fill, fontSize, fontWeight }) => {
        const size = parseFloat(fontSize);
        const isLarge = size >= 24 || (size >= 18.66 && fontWeight >= 700);
        contrast(element, element.closest("svg") ? fill : color, isLarge ? "large text" : "text");
    };

    await document.fonts.ready;
    const moves = document.getAnimations().filter((one) => one instanceof CSSTransition);
    await Promise.allSettled(moves.map((one) => one.finished));
    document.querySelectorAll("details").forEach((fold) => (fold.open = true));
    const elements = [...document.body.querySelectorAll("*")].filter(isShown);

    for (const element of elements) {
        const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
        // WCAG asks nothing of a button that can't be used now.
        const isText = !["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName) && !element.disabled;
        if (texts.length && isText) textContrast(element, style(element));
        if (element.placeholder) textContrast(element, getComputedStyle(element, "::placeholder"));
        if (element instanceof SVGGeometryElement) {
            const { fill, stroke } = style(element);
            const colours = element instanceof SVGLineElement ? [stroke] : [fill, stroke];
            for (const colour of colours) if (colour.startsWith("rgb")) contrast(element, colour, "graphics");
        }
    }

    // What style sheets insert: to ask each element for it would take long.
    const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
    for (const { selectorText } of rules) {
        const parts = selectorText?.match(/::?(before|after)/g) ?? [];
        if (!parts.length) continue;
        const selector = selectorText.replaceAll(/::?(before|after)/g, ":not(no-such-element)"); // which all are
        for (const element of document.querySelectorAll(selector)) {
            for (const part of new Set(parts)) {
                const inserted = getComputedStyle(element, part);
                if (isShown(element) && /^"[^"]*[^"\s]/.test(inserted.content)) textContrast(element, inserted);
            }
        }
    }

    const isBoxed = (element) => {
        const box = element.parentElement?.closest(BOXES);
        return box && (/auto|scroll/.test(style(box).overflowX) || isBoxed(box));
    };
    for (const element of elements) {
        const { left, right, width: own } = element.getBoundingClientRect();
        if (own && right > width + 1 && !isBoxed(element)) fault(element, "sticks out of the page on the right");
        if (own && right > 0 && left < -1 && !isBoxed(element)) fault(element, "sticks out of the page on the left");
    }
    for (const picture of document.querySelectorAll(".drawing svg")) {
        const [inner, outer] = [picture.getBBox(), picture.getBoundingClientRect()];
        const [right, bottom] = [inner.x + inner.width, inner.y + inner.height]; // a letter's box may be a little larger
        const fits = inner.x > -2 && inner.y > -2 && right < outer.width + 2 && bottom < outer.height + 2;
        if (!printed && !fits) fault(picture, "is cut off: what it draws is larger than its picture");
        if (width > 1000 && outer.width > picture.parentElement.clientWidth) fault(picture, "is wider than the text");
    }

    const spoken = (element) =>
        element.ariaLabel || element.textContent.trim() || element.title || element.alt || element.placeholder ||
        [...(element.labels ?? []), ...element.querySelectorAll("[alt], [aria-label]")].some(spoken);
    for (const element of elements) {
        if (element.matches(CONTROLS) && !spoken(element)) fault(element, "has no name");
        if (!element.matches(PICTURES) || element.closest("[aria-hidden=true]")) continue;
        const whole = element.closest("button, a, label, [role=img], .blockquote-tag-title") ?? element;
        const words = whole.matches("svg") ? whole.querySelector(":scope > title") : spoken(whole);
        if (!words) fault(element, "is a picture without a text alternative");
    }

    const isFrame = document.body.matches(".sidebar-iframe-inner"); // the table of contents for those without scripts
    if (!isFrame && !document.title) fault(document.head, "has no title");
    const isDark = luminance(ground(document.body)[0]) < 0.2;
    if (!isFrame && !printed && isDark !== /coal|navy|ayu/.test(localStorage.getItem("mdbook-theme"))) fault(document.body, "is not as dark as its theme");
    if (!document.documentElement.lang) fault(document.documentElement, "does not say its language");
    if (!isFrame && !document.querySelector("meta[name=description]")?.content) fault(document.head, "has no description");

    const name = (element) => {
        const names = element.id ? `#${element.id}` : [...element.classList].map((name) => `.${name}`).join("");
        return element.localName + names;
    };
    const place = (element) => {
        const text = element.localName === "svg" ? "" : element.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
        const parent = element.parentElement ? `${name(element.parentElement)} > ` : "";
        return parent + name(element) + (text && ` "${text}"`);
    };
    return [...found].map(([what, at]) => `${place(at[0])}: ${what}` + (at.length > 1 ? ` (and ${at.length - 1} more)` : ""));
}

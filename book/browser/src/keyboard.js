// Follows the Tab key through the page and once around: Chromium (147) does not begin at the top, but with the
// chapter that the table of contents has scrolled to. `step` is called after each press: "fold" is one whose opening is
// to be tried, "end" is where everything has been reached.
window.keyboard = (() => {
    const CONTROLS = "a[href], button, input, select, textarea, summary, [role=button], [tabindex]";
    const reached = new Set();
    const faults = [];
    let fold;
    let rounds = 0;
    const fault = (element, what) =>
        faults.push(`${element.localName} "${(element.id || element.textContent).trim().slice(0, 40)}" ${what}`);
    return {
        step: () => {
            const element = document.activeElement;
            if (element === document.body) return ++rounds < 2 ? "" : "end";
            if (reached.has(element)) return "end";
            reached.add(element);
            const { outlineStyle, boxShadow } = getComputedStyle(element);
            if (outlineStyle === "none" && boxShadow === "none") fault(element, "does not show that it has the focus");
            fold = element.localName === "summary" && element.parentElement;
            return fold && !fold.open ? "fold" : "";
        },
        opened: () => {
            if (!fold.open || fold.scrollHeight <= fold.firstElementChild.scrollHeight) fault(fold, "does not open by its key");
        },
        end: () => {
            for (const element of document.querySelectorAll(CONTROLS)) {
                const isButton = element.matches("button, summary, [role=button]");
                if (!element.checkVisibility({ visibilityProperty: true }) || reached.has(element)) continue;
                if (element.disabled) continue;
                if (isButton || element.tabIndex >= 0) fault(element, "cannot be reached with the Tab key");
            }
            for (const label of document.querySelectorAll("label")) {
                if (label.checkVisibility() && !reached.has(label.control)) fault(label, "cannot be reached with the Tab key");
            }
            return faults;
        },
    };
})();

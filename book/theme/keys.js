// The arrow keys turn the pages of the book, except in a block that they can scroll.
document.addEventListener(
    "keydown",
    (event) => {
        const { target, key } = event;
        const scrolls = target.matches("code, .drawing, .survey, .table-wrapper") && target.scrollWidth > target.clientWidth;
        if (scrolls && (key === "ArrowLeft" || key === "ArrowRight")) event.stopPropagation();
    },
    true,
);

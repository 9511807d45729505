// The review page: keys, the moving preview, and the part of a frame that is shown pixel for pixel.
(() => {
  const keys = {
    k: "keep", d: "drop", u: "undo", ArrowLeft: "back", ArrowRight: "forward",
    1: "reason-1", 2: "reason-2", 3: "reason-3", 4: "reason-4", 5: "reason-5", 6: "reason-6",
  };
  let shown = null;  // the candidate: its element, its detailed places, which of them, and where the part is

  const show = (card) => {
    const data = card.dataset;
    const now = { card, clip: data.clip, places: [], at: -1, base: `/previews/${data.digest}` };
    for (const key of ["height", "width", "cropHeight", "cropWidth"]) now[key] = Number(data[key]);
    shown = now;
    const video = card.querySelector("video");
    fit();
    video.muted = true;  // the attribute alone does not count in a part that is put in later, and forbids autoplay
    video.src = `${now.base}/film.mp4`;
    fetch(`${now.base}/places.json`).then(async (answer) => {
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.detail);
      Object.assign(now, found);
      if (shown === now) next();
    }).catch((error) => { if (shown === now) fail(".part", error.message); });
  };

  const fit = () => {  // the film into its box, which is as large as the window leaves room for
    const screen = shown.card.querySelector(".screen"), box = shown.card.querySelector(".film").getBoundingClientRect();
    const isWide = shown.width * box.height > shown.height * box.width;
    screen.style.aspectRatio = `${shown.width} / ${shown.height}`;
    screen.style.width = isWide ? "100%" : "";
    screen.style.height = isWide ? "" : "100%";
    if (shown.middle) look(...shown.middle);
  };

  const fail = (box, text) => { shown.card.querySelector(`${box} .wait`).textContent = text; };

  const look = (y, x) => {  // at the part around it
    if (!shown.places.length) return;
    shown.middle = [y, x];
    const image = shown.card.querySelector(".part img"), here = shown.card.querySelector(".here");
    const ratio = window.devicePixelRatio;  // a pixel of the clip is one of the screen
    const side = Math.floor(shown.card.querySelector(".part").clientHeight * ratio);  // on a low window there is room for less
    const height = Math.min(side, shown.cropHeight), width = Math.min(side, shown.cropWidth);
    const top = Math.round(Math.min(Math.max(y - height / 2, 0), shown.height - height));
    const left = Math.round(Math.min(Math.max(x - width / 2, 0), shown.width - width));
    image.style.width = `${width / ratio}px`;
    image.src = `${shown.base}/part.png?top=${top}&left=${left}&side=${side}`;
    here.style.top = `${100 * top / shown.height}%`;
    here.style.left = `${100 * left / shown.width}%`;
    here.style.height = `${100 * height / shown.height}%`;
    here.style.width = `${100 * width / shown.width}%`;
    here.style.display = "block";
    shown.card.querySelector(".where").textContent =
      `pixel for pixel: frame ${shown.frame}, ${width}x${height} at (${left}, ${top})`;
  };

  const next = () => {
    if (!shown?.places.length) return;
    shown.at = (shown.at + 1) % shown.places.length;
    const [top, left] = shown.places[shown.at];
    look(top + shown.cropHeight / 2, left + shown.cropWidth / 2);
  };

  document.addEventListener("keydown", (event) => {
    const isTyping = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
    if (isTyping || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const video = shown?.card.isConnected && shown.card.querySelector("video");
    const isOver = document.body.classList.contains("gone");
    if (keys[key]) isOver || document.getElementById(keys[key])?.click();
    else if (key === "c") next();
    else if (key === " " && video) video.paused ? video.play() : video.pause();
    else return;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const screen = event.target.closest?.(".screen");
    if (!screen) return;
    const box = screen.getBoundingClientRect();
    const y = (event.clientY - box.top) / box.height, x = (event.clientX - box.left) / box.width;
    look(y * shown.height, x * shown.width);
  });
  window.addEventListener("resize", () => { if (shown?.card.isConnected) fit(); });
  // These do not rise from their element: they are caught on the way down.
  document.addEventListener("loadeddata", (event) => event.target.closest(".screen")?.classList.add("ready"), true);
  document.addEventListener("load", (event) => event.target.closest?.(".part")?.classList.add("ready"), true);
  document.addEventListener("error", (event) => {
    if (event.target.closest?.(".screen")) fail(".screen", "the clip cannot be shown");
  }, true);

  setInterval(() => {
    const gone = (is) => document.body.classList.toggle("gone", is);
    fetch("/alive", { cache: "no-store" }).then(() => gone(false), () => gone(true));
  }, 2000);

  // Gradio changes the elements of one candidate into those of the next, and so takes away what was set on them here.
  new MutationObserver(() => {
    const card = document.getElementById("candidate");
    if (card && card.dataset.shown !== card.dataset.clip) {
      card.dataset.shown = card.dataset.clip;
      show(card);
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["data-clip", "data-shown"] });
})();

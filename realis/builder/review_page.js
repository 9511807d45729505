// The review page: keys, the moving preview, and the part of a frame that is shown pixel for pixel.
(() => {
  const keys = {
    k: "keep", d: "drop", u: "undo", ArrowLeft: "back", ArrowRight: "forward",
    1: "reason-1", 2: "reason-2", 3: "reason-3", 4: "reason-4", 5: "reason-5", 6: "reason-6",
  };
  const byId = (id) => document.getElementById(id);
  // The name is of the browser, the clip of the tab, also when it is loaded again. Of a session there is nothing to keep.
  const tab = {
    session: [...crypto.getRandomValues(new Uint32Array(4))].join("-"),
    reviewer: localStorage.getItem("realis-review-name") ?? "",
    clip: sessionStorage.getItem("realis-review-clip") ?? "",
  };
  let isBusy = false;
  let shown = null;  // the candidate: its element, its detailed places, which of them, and where the part is

  const post = async (path) => {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(tab),
    }).catch(() => null);
    document.body.classList.toggle("gone", !answer);  // the server has ended
    if (!answer) return null;
    const found = await answer.json().catch(() => ({ detail: answer.statusText }));
    if (answer.ok) return found;
    byId("trouble").textContent = found.detail;
    byId("trouble").hidden = false;
    return null;
  };

  const act = async (name) => {  // one at a time: the next is about what the last has brought
    if (isBusy) return;
    isBusy = true;
    const found = await post(`/act/${name}`);
    isBusy = false;
    if (found) view(found);
  };

  const view = ({ reviewer, clip, header, card }) => {
    byId("trouble").hidden = true;
    byId("header").innerHTML = header;
    unload();
    if (!card) return welcome();
    Object.assign(tab, { reviewer, clip });
    localStorage.setItem("realis-review-name", reviewer);
    sessionStorage.setItem("realis-review-clip", clip);
    byId("card").innerHTML = card;
    byId("welcome").hidden = true;
    byId("review").hidden = false;
    show(byId("candidate"));
  };

  const unload = () => {  // a film that is taken out of the page would still be loaded
    const video = shown?.card.querySelector("video");
    video?.removeAttribute("src");
    video?.load();
    shown = null;
  };

  const welcome = () => {
    byId("card").replaceChildren();
    byId("review").hidden = true;
    byId("welcome").hidden = false;
    byId("name").querySelector("input").focus();
  };

  const show = (card) => {
    const data = card.dataset;
    const now = { card, clip: data.clip, places: [], at: -1, base: `/previews/${data.digest}` };
    for (const key of ["height", "width", "cropHeight", "cropWidth"]) now[key] = Number(data[key]);
    shown = now;
    card.style.setProperty("--crop", `${data.crop}px`);
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
    if (!shown) return;
    const video = shown.card.querySelector("video");
    if (keys[key]) document.body.classList.contains("gone") || act(keys[key]);
    else if (key === "c") next();
    else if (key === " ") video.paused ? video.play() : video.pause();
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
  window.addEventListener("resize", () => { if (shown) fit(); });
  // These do not rise from their element: they are caught on the way down.
  document.addEventListener("loadeddata", (event) => event.target.closest(".screen")?.classList.add("ready"), true);
  document.addEventListener("load", (event) => event.target.closest?.(".part")?.classList.add("ready"), true);
  document.addEventListener("error", (event) => {
    if (event.target.closest?.(".screen")) fail(".screen", "the clip cannot be shown");
  }, true);

  byId("verdicts").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.id !== "leave") return act(button.id);
    tab.reviewer = "";
    localStorage.removeItem("realis-review-name");
    unload();
    welcome();
  });
  byId("welcome").addEventListener("submit", (event) => {
    event.preventDefault();
    tab.reviewer = byId("name").querySelector("input").value;
    act("show");
  });

  setInterval(async () => {
    const found = await post("/progress");
    if (found) byId("header").innerHTML = found.header;
  }, 1000 * document.body.dataset.refresh);
  act("show");
})();

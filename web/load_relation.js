// Shows the pair and the words of a saved relation on Load Relation, before anything is run.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const JPEG = "data:image/jpeg;base64,"; // what Save Relation writes; an address in a stranger's file is not followed
const WORDS = ["modelspec.title", "modelspec.description"];

async function metadataOf(name) {
  try {
    const answer = await api.fetchApi(`/view_metadata/relations?filename=${encodeURIComponent(name)}`);
    return (answer.ok && (await answer.json())) || {};
  } catch {
    return {}; // the server is gone, or sent no JSON
  }
}

function makeCard() {
  const card = document.createElement("figure");
  card.className = "relation-card";
  card.style.cssText = "margin:0; overflow:auto; font-size:12px; color:var(--input-text,#ddd)";
  const picture = document.createElement("img");
  picture.style.cssText = "display:block; width:100%; aspect-ratio:2; object-fit:contain";
  const words = document.createElement("figcaption");
  words.style.cssText = "padding:4px; white-space:pre-line; overflow-wrap:anywhere";
  card.append(picture, words);
  return { card, picture, words };
}

function fill({ card, picture, words }, metadata) {
  const text = key => (typeof metadata[key] === "string" ? metadata[key] : ""); // a stranger's file may hold anything
  const pair = text("modelspec.thumbnail");
  words.textContent = WORDS.map(text).filter(Boolean).join("\n");
  words.hidden = !words.textContent;
  picture.hidden = !pair.startsWith(JPEG);
  if (picture.hidden) picture.removeAttribute("src");
  else picture.src = pair;
  card.hidden = picture.hidden && words.hidden;
}

function follow(owner, event, act) {
  const before = owner[event];
  owner[event] = function (...values) {
    const result = before?.apply(this, values);
    act();
    return result;
  };
}

app.registerExtension({
  name: "relationadapter.LoadRelation",
  nodeCreated(node) {
    if (node.comfyClass !== "LoadRelation") return;
    const choice = node.widgets.find(({ name }) => name === "relation_name");
    const parts = makeCard();
    fill(parts, {});
    const height = () => (parts.card.hidden ? 0 : parts.picture.hidden ? 60 : 190);
    const options = { serialize: false, hideOnZoom: false, getMinHeight: height, getMaxHeight: height };
    node.addDOMWidget("relation_card", "relation_card", parts.card, options).serialize = false;
    const chosen = () => (node.isInputConnected(node.findInputSlot(choice.name)) ? "" : choice.value);
    const fit = metadata => {
      fill(parts, metadata);
      node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
      node.setDirtyCanvas(true, true);
    };
    const show = async () => {
      await null; // a node that is loaded gets its value and its links after it is made
      const name = chosen();
      const metadata = choice.options.values.includes(name) ? await metadataOf(name) : {};
      if (chosen() === name) fit(metadata);
    };
    const ended = ({ detail }) => {
      if (String(detail.node) === String(node.id)) fit({}); // the run's own preview shows the pairs
    };
    api.addEventListener("executed", ended);
    follow(node, "onRemoved", () => api.removeEventListener("executed", ended));
    for (const event of ["onAdded", "onConfigure", "onConnectionsChange"]) follow(node, event, show);
    follow(choice, "callback", show);
  },
});

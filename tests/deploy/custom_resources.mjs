// Validates the kinds that Kubernetes itself does not know, read as YAML documents from the file
// named first. Their published schemas say nothing about unknown keys, so a misspelt one would
// pass: every key that the schema's validator never looked at is an error here as well.
import { readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import * as certificates from "@kubernetes-models/cert-manager/cert-manager.io/v1";
import * as externalSecrets from "@kubernetes-models/external-secrets/external-secrets.io/v1";
import * as gateways from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const groups = {
  "cert-manager.io/v1": certificates,
  "external-secrets.io/v1": externalSecrets,
  "gateway.networking.k8s.io/v1": gateways,
  "monitoring.coreos.com/v1": prometheus,
};

// Maps whose keys are free; the standard metadata is checked with the other kinds.
const FREE = new Set(["metadata", "labels", "annotations", "matchLabels"]);

/** The same value, which notes in `unread` the paths of keys until somebody reads them. */
function watched(value, path, unread) {
  if (value === null || typeof value !== "object") return value;
  for (const key of Object.keys(value)) {
    if (!Array.isArray(value)) unread.add(`${path}/${key}`);
  }
  const inner = new Map();
  return new Proxy(value, {
    get(target, key, receiver) {
      const found = Reflect.get(target, key, receiver);
      if (typeof key === "symbol") return found;
      unread.delete(`${path}/${key}`);
      if (FREE.has(key) || found === null || typeof found !== "object") return found;
      if (!inner.has(key)) inner.set(key, watched(found, `${path}/${key}`, unread));
      return inner.get(key);
    },
  });
}

let checked = 0;
let failed = 0;
for (const document of parseAllDocuments(readFileSync(process.argv[2], "utf8"))) {
  const resource = document.toJS();
  const group = groups[resource?.apiVersion];
  if (!group) continue;
  const name = `${resource.kind}/${resource.metadata?.name}`;
  const Kind = group[resource.kind];
  const unread = new Set();
  try {
    if (!Kind) throw new Error(`${resource.apiVersion} has no kind ${resource.kind}`);
    // Called on the document itself: a model made of it would be a copy, and would have read every
    // key.
    Kind.prototype.validate.call(watched(resource, "", unread));
    if (unread.size > 0) throw new Error(`unknown keys: ${[...unread].join(", ")}`);
    console.log(`  valid: ${name}`);
    checked += 1;
  } catch (error) {
    console.log(`  INVALID: ${name}: ${error.message}`);
    failed += 1;
  }
}
if (checked === 0) console.log("  INVALID: no resource to check");
process.exit(failed > 0 || checked === 0 ? 1 : 0);

/** Properties of a dialog, by name.  [manual 6.16] */
import { changeProperties, PROPERTIES, type PropertyName } from '../../dialog/properties.js';
import type { DialogTracker } from '../../dialog/tracker.js';

/** Sets a property in the context, and in its dialog if there is one; false: there is none of that name. */
export function dlg_set_property(tracker: DialogTracker, name: string): boolean {
  if (!isProperty(name)) return false;
  tracker.context.properties |= PROPERTIES[name];
  return change(tracker, PROPERTIES[name], 0);
}

/** Takes a property back, from the context and from its dialog. */
export function dlg_reset_property(tracker: DialogTracker, name: string): boolean {
  if (!isProperty(name)) return false;
  tracker.context.properties &= ~PROPERTIES[name];
  return change(tracker, 0, PROPERTIES[name]);
}

function isProperty(name: string): name is PropertyName {
  return Object.hasOwn(PROPERTIES, name);
}

/** No dialog to change is no fault: the context has the property. */
function change(tracker: DialogTracker, set: number, clear: number): boolean {
  return !tracker.contextDialog() || changeProperties(tracker.records, tracker.params, set, clear);
}

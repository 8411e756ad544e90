package hostconfig

import (
	"maps"
	"reflect"
	"slices"
)

// changedFields returns the sorted names of the fields in which two entries
// differ, marked "(added)" or "(removed)" if only one entry has the field. It
// leaves out values, which may be secret. The name of a field of a nested object
// begins with that of the object: env.ZAI_API_KEY.
func changedFields(before, after map[string]any) (names []string) {
	all := map[string]any{}
	maps.Copy(all, before)
	maps.Copy(all, after)
	for _, name := range sortedKeys(all) {
		old, had := before[name]
		value, has := after[name]
		oldFields, oldIsObject := old.(map[string]any)
		fields, isObject := value.(map[string]any)
		switch {
		case reflect.DeepEqual(old, value) && had == has:
		case oldIsObject && isObject:
			for _, inner := range changedFields(oldFields, fields) {
				names = append(names, name+"."+inner)
			}
		case !has:
			names = append(names, name+" (removed)")
		case !had:
			names = append(names, name+" (added)")
		default:
			names = append(names, name)
		}
	}
	return names
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

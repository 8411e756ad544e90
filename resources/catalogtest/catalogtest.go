// Package catalogtest is the suite that every implementation of resources.Catalog
// passes.
//
// It does not control the clock of a catalog: leases that have ended are made with a
// negative duration.
package catalogtest

import (
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/resources"
)

// Run runs the suite. create makes a database without a catalog. Each call of open
// returns another catalog on it, as another process would have. The end of the test
// closes them.
func Run(t *testing.T, create func(t testing.TB) (open func() resources.Catalog)) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, func() resources.Catalog){
		"StatePredicates":         testStatePredicates,
		"Transitions":             testTransitions,
		"Record":                  testRecord,
		"RecordGuard":             testRecordGuard,
		"RecordMissingRow":        testRecordMissingRow,
		"Reserve":                 testReserve,
		"ReserveBudget":           testReserveBudget,
		"ReserveBudgetConcurrent": testReserveBudgetConcurrent,
		"ReserveDaily":            testReserveDaily,
		"ReserveDailyConcurrent":  testReserveDailyConcurrent,
		"JoinConcurrent":          testJoinConcurrent,
		"Join":                    testJoin,
		"JoinPart":                testJoinPart,
		"Delivery":                testDelivery,
		"Claim":                   testClaim,
		"ClaimOne":                testClaimOne,
		"ClaimConcurrent":         testClaimConcurrent,
		"ClaimSandbox":            testClaimSandbox,
		"NextClaim":               testNextClaim,
		"Slots":                   testSlots,
		"SlotsConcurrent":         testSlotsConcurrent,
		"SlotsInTurn":             testSlotsInTurn,
		"SlotsOfOtherProcesses":   testSlotsOfOtherProcesses,
		"SlotsOfWaitingImages":    testSlotsOfWaitingImages,
		"SlotsKept":               testSlotsKept,
		"SlotsOfClaimedImages":    testSlotsOfClaimedImages,
		"SlotsOfClaimedTasks":     testSlotsOfClaimedTasks,
		"Changes":                 testChanges,
		"ChangesPages":            testChangesPages,
		"Watch":                   testWatch,
		"Row":                     testRow,
		"Page":                    testPage,
		"Search":                  testSearch,
		"SearchOldImages":         testSearchOldImages,
		"IDs":                     testIDs,
		"Neighbors":               testNeighbors,
		"Spending":                testSpending,
		"Scan":                    testScan,
		"Insert":                  testInsert,
		"Move":                    testMove,
		"Reset":                   testReset,
		"GiveUp":                  testGiveUp,
		"Remove":                  testRemove,
		"Settings":                testSettings,
		"Health":                  testHealth,
		"MonthUsage":              testMonthUsage,
		"Exports":                 testExports,
		"ExportsPaths":            testExportsPaths,
		"ExportsPages":            testExportsPages,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, create(t))
		})
	}
}

const owner = "local"

// Processes. Their names are not file names, so a catalog in a file does not know
// whether they are alive, and relies on their leases.
const (
	one   = "process 1"
	two   = "process 2"
	three = "process 3"
	four  = "process 4"
)

// newID returns an id that sorts after all earlier ones.
func newID() string { return strings.ToLower(ulid.Make().String()) }

// alive returns the lease of a process that runs.
func alive(process string) resources.Lease { return resources.Lease{Process: process, For: time.Hour} }

// dead returns the lease of a process that ended a second ago.
func dead(process string) resources.Lease {
	return resources.Lease{Process: process, For: -time.Second}
}

// call describes a call for one image.
func call(lease resources.Lease) resources.Reservation { return callFor(1, lease) }

// callFor describes a call for n images of a cent each.
func callFor(n int, lease resources.Lease) resources.Reservation {
	r := resources.Reservation{Count: n, Lease: lease, RejoinWindow: time.Hour}
	for range n {
		i := resources.Image{
			ID: newID(), Owner: owner, Model: "m", Prompt: "a fox", Size: "1024x1024", Quality: "standard", CostMicroUSD: 10_000, Sandbox: lease.Sandbox,
		}
		i.CallID = i.ID
		if len(r.Images) > 0 {
			i.CallID = r.Images[0].CallID
		}
		r.Images = append(r.Images, i)
	}
	return r
}

// equal describes a call for one image that is equal to those with the same key.
func equal(key string, lease resources.Lease) resources.Reservation {
	r := call(lease)
	r.JoinKey = key
	return r
}

// reserve reserves one image, which becomes Submitted.
func reserve(t testing.TB, c resources.Catalog, lease resources.Lease) resources.Image {
	t.Helper()
	return reserveCall(t, c, call(lease))
}

// reserveCall reserves the one image of a call.
func reserveCall(t testing.TB, c resources.Catalog, r resources.Reservation) resources.Image {
	t.Helper()
	outcome, err := c.Reserve(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, outcome.Joined)
	require.Len(t, outcome.New, 1)
	return outcome.New[0]
}

// insert adds an image in a state, without a lease.
func insert(t testing.TB, c resources.Catalog, change func(*resources.Row)) resources.Image {
	t.Helper()
	i := resources.Row{Image: resources.Image{
		ID: newID(), Owner: owner, State: resources.Saved, CreatedAt: time.Now().UTC().Truncate(time.Millisecond), Model: "m", Prompt: "a fox", Size: "1x1", Quality: "hd", Charged: true,
	}}
	i.CallID = i.ID
	if change != nil {
		change(&i)
	}
	added, err := c.Insert(t.Context(), i)
	require.NoError(t, err)
	require.Equal(t, 1, added)
	return i.Image
}

// record writes an image without a guard.
func record(t testing.TB, c resources.Catalog, i resources.Image) {
	t.Helper()
	require.NoError(t, c.Record(t.Context(), i, resources.Guard{}))
}

// row returns the row of an image.
func row(t testing.TB, c resources.Catalog, id string) resources.Row {
	t.Helper()
	r, err := c.Row(t.Context(), id)
	require.NoError(t, err)
	return r
}

// ids returns the ids of images.
func ids(images []resources.Image) []string {
	list := []string{}
	for _, i := range images {
		list = append(list, i.ID)
	}
	return list
}

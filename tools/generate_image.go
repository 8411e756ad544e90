package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/internal/jobs"
	"zai-image-mcp/resources"
	"zai-image-mcp/zai"
)

// maxPictures is the largest n; each image is billed.
const maxPictures = 4

// generateArguments are the arguments of generate_image. The API's own names
// are used where it has them.
type generateArguments struct {
	Prompt  string `json:"prompt" jsonschema:"minLength=1,maxLength=10000" jsonschema_description:"What to show: subject, setting, style, light. Chinese or English; put words that must be readable in the picture in quotes."`
	Model   string `json:"model,omitempty"`
	Size    string `json:"size,omitempty" jsonschema_description:"WIDTHxHEIGHT in pixels, see above"`
	Quality string `json:"quality,omitempty" jsonschema:"enum=standard,enum=hd" jsonschema_description:"hd: finer, but slower; same price"`
	N       int    `json:"n,omitempty" jsonschema:"minimum=1,maximum=4,default=1" jsonschema_description:"Number of pictures; each is billed"`
	UserID  string `json:"user_id,omitempty" jsonschema:"minLength=6,maxLength=128" jsonschema_description:"End user's id"`
}

func (t *tools) generateImage() (server.ServerTool, error) {
	input, err := inputSchema(&generateArguments{}, func(s *jsonschema.Schema) {
		model, _ := s.Properties.Get("model")
		for _, m := range zai.Models(t.Region) {
			model.Enum = append(model.Enum, m.ID)
		}
		model.Default = t.DefaultModel
	})
	if err != nil {
		return server.ServerTool{}, err
	}
	output, err := outputSchema(false)
	if err != nil {
		return server.ServerTool{}, err
	}
	tool := definition("generate_image", "Generate image", t.describeGenerate(), input, output, false)
	return server.ServerTool{Tool: tool, Handler: t.generate}, nil
}

// describeGenerate tells an agent what it needs to choose well, from the table
// of models. Models with the same sizes share a line for them.
func (t *tools) describeGenerate() string {
	var b strings.Builder
	b.WriteString("Make pictures from text with Z.AI; each costs money. Returns a preview, the file and a zai-image:// resource of the original.")
	var order []string
	models := map[string]string{}
	for _, m := range zai.Models(t.Region) {
		sizes := describeSizes(m)
		if models[sizes] == "" {
			order = append(order, sizes)
		}
		models[sizes] += fmt.Sprintf("\n%s: $%g, %s%s.", m.ID, m.PriceUSD, m.Summary, durations(m))
	}
	for _, sizes := range order {
		b.WriteString(models[sizes] + "\n" + sizes)
	}
	return b.String()
}

func describeSizes(m zai.Model) string {
	var list []string
	for _, s := range m.Sizes {
		list = append(list, s.Size+" "+s.Category)
	}
	return fmt.Sprintf("Sizes: %s; others with sides %d-%d divisible by %d, up to %d pixels.",
		strings.Join(list, ", "), m.CustomSizes.Min, m.CustomSizes.Max, m.CustomSizes.Divisor, m.CustomSizes.MaxPixels)
}

func durations(m zai.Model) string {
	var parts []string
	for _, quality := range m.Qualities {
		parts = append(parts, fmt.Sprintf("%s ~%d s", quality, int(m.TypicalDurations[quality].Seconds())))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (t *tools) generate(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	order, err := t.parseRequest(ctx, request)
	if err != nil {
		return t.failed(err), nil
	}
	report := newProgressReporter(ctx, request, t.Now, order.N, t.usual(order.Model, order.Quality))
	defer report.close()
	call, err := t.Pipeline.Start(ctx, order, report.watch)
	if err != nil {
		t.Log.WarnContext(ctx, "images not begun", "error", err)
		return t.failed(err), nil
	}
	if left := t.await(ctx, call, report); left != nil {
		return failureResult(left), nil
	}
	var rows []resources.Image
	for _, job := range call.Jobs {
		rows = append(rows, job.Image())
	}
	if call.Joined == len(rows) && givenUp(rows) && ctx.Err() == nil {
		return t.generate(ctx, request) // by its caller in another process, which is not ours
	}
	for range order.N - len(rows) {
		rows = append(rows, notStarted(order, call.Refused, t.Now(), t.Sandbox))
	}
	return t.imagesResult(ctx, rows, joined(call)), nil
}

// givenUp tells of images that were cancelled before anything was sent.
func givenUp(rows []resources.Image) bool {
	for _, row := range rows {
		if row.State != resources.Failed || row.Charged || row.Failure == nil || row.Failure.Kind != string(zai.KindCancelled) {
			return false
		}
	}
	return true
}

// joined returns a note for a call whose images belong to an equal call made
// before, which this call did not pay for.
func joined(call *jobs.Call) string {
	const before = "The same call was made before, and was under way or had not got its answer: "
	switch {
	case call.Joined == 0:
		return ""
	case call.Joined < len(call.Jobs):
		return before + fmt.Sprintf("%d of these images are its own and were not charged a second time, the others are new.", call.Joined)
	}
	for _, job := range call.Jobs {
		if job.Image().Failure == nil {
			return before + "this one got its images, nothing was charged a second time. Call again if you want new ones."
		}
	}
	return before + "this one hears what became of it, and nothing was charged a second time."
}

// order turns arguments into a checked request.
func (t *tools) parseRequest(ctx context.Context, request mcp.CallToolRequest) (jobs.Request, error) {
	arguments, err := decodeArguments(request, generateArguments{Model: t.DefaultModel, N: 1})
	if err != nil {
		return jobs.Request{}, err
	}
	model, err := zai.FindModel(t.Region, arguments.Model)
	if err != nil {
		return jobs.Request{}, err
	}
	n := arguments.N
	if n < 1 || n > maxPictures {
		return jobs.Request{}, &argumentError{fmt.Sprintf("n is %d, which is not between 1 and %d.", n, maxPictures), "Ask for the rest in another call."}
	}
	if arguments.Size == "" {
		arguments.Size = model.DefaultSize
	}
	if arguments.Quality == "" {
		arguments.Quality = model.DefaultQuality()
	}
	size, quality := zai.NormalizeSize(arguments.Size), strings.ToLower(arguments.Quality)
	if err := errors.Join(zai.CheckTexts(arguments.Prompt, arguments.UserID), model.CheckSize(size), model.CheckQuality(quality)); err != nil {
		return jobs.Request{}, err
	}
	return jobs.Request{
		Owner: t.Owner(ctx), Client: t.Client(ctx), Model: model.ID, Prompt: arguments.Prompt, Size: size, Quality: quality,
		UserID: arguments.UserID, PriceUSD: model.PriceUSD, N: n,
	}, nil
}

// usual is how long an image takes, 0 when that is not known.
func (t *tools) usual(name, quality string) time.Duration {
	model, err := zai.FindModel(t.Region, name)
	if err != nil {
		return 0
	}
	return model.TypicalDuration(quality)
}

// unbegun stands for an image of which there is no row.
func notStarted(r jobs.Request, err error, now time.Time, sandbox bool) resources.Image {
	return resources.Image{
		State: resources.Failed, CreatedAt: now, Sandbox: sandbox, Model: r.Model, Prompt: r.Prompt, Size: r.Size, Quality: r.Quality, Failure: jobs.Describe(err),
	}
}

// await waits until all jobs are done, the longest wait is over, or the caller
// leaves. A caller that leaves gives up what was not sent yet and is told so.
func (t *tools) await(ctx context.Context, call *jobs.Call, report *progressReporter) *resources.Failure {
	defer report.settle()
	list := call.Jobs
	limit := time.NewTimer(t.Wait)
	defer limit.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for _, job := range list {
		for waiting := true; waiting; {
			select {
			case <-job.Done():
				waiting = false
			case <-beat.C:
				report.heartbeat(list)
			case stage := <-report.stages:
				report.stageChanged(stage, list)
			case <-limit.C:
				return nil
			case <-t.StopWaiting:
				return nil
			case <-ctx.Done():
				call.Abandon()
				return &resources.Failure{
					Kind: string(zai.KindCancelled), Message: "The call was cancelled.",
					Hint: "What was sent already is finished and kept: the same call made again within 15 minutes gets it. Nothing else was charged.",
				}
			}
		}
	}
	return nil
}

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

// GenerateImage is the name of the only tool that costs money.
const GenerateImage = "generate_image"

// maxImages is the largest n; each image is billed.
const maxImages = 4

// generateArguments are the arguments of generate_image. Those that the API has
// too have the same names there.
type generateArguments struct {
	Prompt  string `json:"prompt" jsonschema:"minLength=1,maxLength=10000" jsonschema_description:"What to show: subject, setting, style, light. Chinese or English; put words that must be readable in the picture in quotes."`
	Model   string `json:"model,omitempty"`
	Size    string `json:"size,omitempty" jsonschema_description:"WIDTHxHEIGHT in pixels, see above"`
	Quality string `json:"quality,omitempty" jsonschema:"enum=standard,enum=hd" jsonschema_description:"hd: finer, but slower; same price"`
	N       int    `json:"n,omitempty" jsonschema:"minimum=1,maximum=4,default=1" jsonschema_description:"Number of pictures; each is billed"`
	UserID  string `json:"user_id,omitempty" jsonschema:"minLength=6,maxLength=128" jsonschema_description:"End-user id"`
	SaveAs  string `json:"save_as,omitempty" jsonschema_description:"Path in the project, e.g. assets/hero.webp; also png, jpg"`
}

func (t *tools) generateImage() (server.ServerTool, error) {
	return define(t, definition{
		name: GenerateImage, title: "Generate image", openWorld: true, description: describeModels(t.Region),
		adaptInput: func(s *jsonschema.Schema) {
			model, _ := s.Properties.Get("model")
			for _, m := range zai.Models(t.Region) {
				model.Enum = append(model.Enum, m.ID)
			}
			model.Default = t.DefaultModel
		},
	}, generateArguments{Model: t.DefaultModel, N: 1}, t.generate)
}

// describeModels returns the description of generate_image, which lists what an
// agent needs to choose a model. Models with the same sizes share one line of
// sizes.
func describeModels(region zai.Region) string {
	var b strings.Builder
	b.WriteString("Make pictures from text with Z.AI; each costs money. Returns a preview, the file and a zai-image:// resource of the original.")
	var order []string
	models := map[string]string{}
	for _, m := range zai.Models(region) {
		sizes := describeSizes(m)
		if models[sizes] == "" {
			order = append(order, sizes)
		}
		models[sizes] += fmt.Sprintf("\n%s: $%g, %s%s.", m.ID, m.PriceUSD, m.Summary, describeDurations(m))
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

func describeDurations(m zai.Model) string {
	var parts []string
	for _, quality := range m.Qualities {
		parts = append(parts, fmt.Sprintf("%s ~%d s", quality, int(m.TypicalDurations[quality].Seconds())))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (t *tools) generate(ctx context.Context, c toolCall, arguments generateArguments) (*mcp.CallToolResult, error) {
	if c.caller.ReadOnly {
		return nil, &readOnlyError{}
	}
	request, err := t.parseRequest(c.caller, arguments)
	if err != nil {
		return nil, err
	}
	names, err := t.fileNames(arguments.SaveAs, request.N)
	if err != nil {
		return nil, err
	}
	progress := newProgressReporter(ctx, c.request, t.Now, request.N, t.typicalDuration(request.Model, request.Quality))
	defer progress.close()
	end := t.waitEnd()
	call, err := t.Pipeline.Run(ctx, request, progress.watch, func(call *jobs.Call) error { return t.await(ctx, call, end, progress) })
	if err != nil {
		if !errors.Is(err, jobs.ErrCallCancelled) {
			t.Log.WarnContext(ctx, "failed to start a call", "error", err)
		}
		return nil, err
	}
	var images []resources.Image
	for _, job := range call.Jobs {
		images = append(images, job.Image())
	}
	for range request.N - len(images) {
		images = append(images, notStarted(request, call.Refused, t.Now(), t.Sandbox))
	}
	return t.imagesResult(ctx, c.caller, images, names, joinedNote(call)), nil
}

// joinedNote returns the note for a call that joined an earlier equal call and
// therefore did not pay for its images, or "" if it joined none.
func joinedNote(call *jobs.Call) string {
	const before = "An equal call was made before and was still in progress or had not received its result: "
	switch {
	case call.Joined == 0:
		return ""
	case call.Joined < len(call.Jobs):
		return before + fmt.Sprintf("%d of these images belong to it and were not charged a second time, the others are new.", call.Joined)
	}
	for _, job := range call.Jobs {
		if job.Image().Failure == nil {
			return before + "this call returns its images, and nothing was charged a second time. Call again if you want new ones."
		}
	}
	return before + "this call returns its failure, and nothing was charged a second time."
}

// readOnlyError means that the caller's token does not allow generating images.
type readOnlyError struct{}

func (*readOnlyError) Error() string { return "the token does not allow generating images" }

// Failure returns the error as the failure of a call.
func (*readOnlyError) Failure() *resources.Failure {
	return resources.NewFailure(resources.Kind(zai.KindUnauthorized), "The token of this client does not allow generating images.",
		"Ask the user to sign in again and to allow it.")
}

// parseRequest checks the arguments and fills in defaults.
func (t *tools) parseRequest(caller Caller, arguments generateArguments) (jobs.Request, error) {
	model, err := zai.FindModel(t.Region, arguments.Model)
	if err != nil {
		return jobs.Request{}, err
	}
	n := arguments.N
	if n < 1 || n > maxImages {
		return jobs.Request{}, &argumentError{fmt.Sprintf("n is %d, which is not between 1 and %d.", n, maxImages), "Request more images in further calls."}
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
		Owner: caller.Owner, Client: caller.Client, Model: model.ID, Prompt: arguments.Prompt, Size: size, Quality: quality,
		UserID: arguments.UserID, PriceUSD: model.PriceUSD, N: n,
	}, nil
}

// typicalDuration returns how long an image usually takes, or 0 if that is
// unknown.
func (t *tools) typicalDuration(name, quality string) time.Duration {
	model, err := zai.FindModel(t.Region, name)
	if err != nil {
		return 0
	}
	return model.TypicalDuration(quality)
}

// notStarted returns a failed image in place of one that was never reserved.
func notStarted(r jobs.Request, err error, now time.Time, sandbox bool) resources.Image {
	return resources.Image{
		State: resources.Failed, CreatedAt: now, Sandbox: sandbox, Model: r.Model, Prompt: r.Prompt, Size: r.Size, Quality: r.Quality, Failure: jobs.Describe(err),
	}
}

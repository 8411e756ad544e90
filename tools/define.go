package tools

import (
	"context"
	"encoding/json"

	"github.com/invopop/jsonschema"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"zai-image-mcp/resources"
)

// definition holds what tools/list shows of a tool besides its schemas.
type definition struct {
	name, title, description string

	readOnly   bool                     // changes nothing
	openWorld  bool                     // sends requests to Z.AI that cost money
	adaptInput func(*jsonschema.Schema) // completes the input schema; may be nil
	output     outputForm               // of the output schema
}

// tool returns the definition together with its schemas. All hints are
// explicit, because hosts use them to decide whether to ask the user.
func (d definition) tool(input, output json.RawMessage) mcp.Tool {
	return mcp.Tool{
		Name: d.name, Title: d.title, Description: d.description, RawInputSchema: input, RawOutputSchema: output,
		Annotations: mcp.ToolAnnotation{
			ReadOnlyHint: new(d.readOnly), DestructiveHint: new(false), IdempotentHint: new(d.readOnly), OpenWorldHint: new(d.openWorld),
		},
	}
}

// toolCall is one call of a tool.
type toolCall struct {
	caller  Caller
	request mcp.CallToolRequest
}

// define returns a tool whose handler receives decoded arguments. In is a
// struct of strings, integers and booleans; defaults holds the values of arguments that a
// call leaves out. An error becomes a result that describes it; internal ones
// are logged.
func define[In any](t *tools, d definition, defaults In, handle func(context.Context, toolCall, In) (*mcp.CallToolResult, error)) (server.ServerTool, error) {
	input, err := inputSchema(new(In), d.adaptInput)
	if err != nil {
		return server.ServerTool{}, err
	}
	output, err := outputSchema(d.output)
	if err != nil {
		return server.ServerTool{}, err
	}
	run := func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		caller, err := callerFrom(ctx)
		if err != nil {
			return nil, err
		}
		arguments, err := decodeArguments(request, defaults)
		if err != nil {
			return nil, err
		}
		return handle(ctx, toolCall{caller, request}, arguments)
	}
	handler := func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := run(ctx, request)
		if err == nil {
			return result, nil
		}
		failed := ErrorResult(err)
		if Outcome(failed) == string(resources.KindInternal) {
			t.Log.ErrorContext(ctx, "failed to run a tool", "tool", request.Params.Name, "error", err)
		}
		return failed, nil
	}
	return server.ServerTool{Tool: d.tool(input, output), Handler: handler}, nil
}

/* Where the author's code is: read from stack frames without making an Error and without allocating. */
#define LW_OWN_PREFIX "loopwright:"

/* Whether a file name is one of ours (the prelude, a `loopwright:` module). */
static bool lw_is_own_file(JSRuntime *rt, JSAtom name)
{
    JSAtomStruct *p;
    if (name == JS_ATOM_NULL || __JS_AtomIsTaggedInt(name))
        return false;
    p = rt->atom_array[name];
    return !p->is_wide_char && p->len >= sizeof(LW_OWN_PREFIX) - 1 &&
           !memcmp(str8(p), LW_OWN_PREFIX, sizeof(LW_OWN_PREFIX) - 1);
}

/* Where a frame is, if its function is the author's. */
static bool lw_frame_position(const JSStackFrame *frame, uint32_t *line, uint32_t *column)
{
    JSObject *f;
    JSFunctionBytecode *b;
    int at;
    if (JS_VALUE_GET_TAG(frame->cur_func) != JS_TAG_OBJECT)
        return false;
    f = JS_VALUE_GET_OBJ(frame->cur_func);
    if (!js_class_has_bytecode(f->class_id))
        return false;
    b = f->u.func.function_bytecode;
    if (lw_is_own_file(lw_rt, b->filename))
        return false;
    if (frame->cur_pc) {
        *line = find_line_num(lw_ctx, b, frame->cur_pc - b->byte_code_buf - 1, &at);
        *column = at;
    } else { /* not known yet: the function itself */
        *line = b->line_num;
        *column = b->col_num;
    }
    return true;
}

/* The innermost frame of the author's; false when none is on the stack. */
static bool lw_author_frame(uint32_t *line, uint32_t *column)
{
    const JSStackFrame *frame = lw_rt->current_stack_frame;
    while (frame && !lw_frame_position(frame, line, column))
        frame = frame->prev_frame;
    return frame;
}

static void lw_scope_position(uint32_t scope, uint32_t *line, uint32_t *column); /* scope.c */

/* The author's position, else the one stored in the current scope, else 0. */
static void lw_where(uint32_t *line, uint32_t *column)
{
    *line = *column = 0;
    if (lw_ctx && !lw_author_frame(line, column))
        lw_scope_position(lw_rt->lw_scope, line, column);
}

static bool lw_stop_noted;

/* Called when the first stack frame is left because of a stop: only now does the frame know its exact place. */
static void lw_note_stop(void)
{
    if (lw_stop_noted || !lw_control.stop)
        return;
    lw_stop_noted = true;
    lw_where(&lw_control.stop_line, &lw_control.stop_column);
}

/* Called when a stop meets a frame that is not on the stack; it is the place unless there is a better one. */
static void lw_note_frame(const JSStackFrame *frame)
{
    if (!lw_stop_noted && lw_control.stop && !lw_control.stop_line)
        lw_frame_position(frame, &lw_control.stop_line, &lw_control.stop_column);
}

/* Called when a stop comes before a function has a frame: where it goes on, or its start. */
static void lw_note_entry(JSValueConst function, bool resumes)
{
    JSStackFrame frame = {.cur_func = unsafe_unconst(function)};
    JSObject *f;
    if (resumes) {
        frame = ((JSAsyncFunctionState *)JS_VALUE_GET_PTR(function))->frame;
    } else if (JS_VALUE_GET_TAG(function) == JS_TAG_OBJECT) {
        f = JS_VALUE_GET_OBJ(function); /* what resumes an async function after an await */
        if (f->class_id == JS_CLASS_ASYNC_FUNCTION_RESOLVE || f->class_id == JS_CLASS_ASYNC_FUNCTION_REJECT)
            frame = f->u.async_function_data->func_state.frame;
    }
    lw_note_frame(&frame);
}

/* Reads "…:12:5" or "…:12:5)" backwards from `end`; false when it does not end so. */
static bool lw_read_place(const char *start, const char *end, uint32_t *line, uint32_t *column, const char **file_end)
{
    uint32_t number[2];
    int i;
    if (end > start && end[-1] == ')')
        end--;
    for (i = 0; i < 2; i++) {
        uint32_t value = 0, unit = 1;
        const char *p = end;
        while (p > start && p[-1] >= '0' && p[-1] <= '9' && unit < 1000000000) {
            value += (*--p - '0') * unit;
            unit *= 10;
        }
        if (p == end || p == start || p[-1] != ':')
            return false;
        number[i] = value;
        end = p - 1;
    }
    *column = number[0];
    *line = number[1];
    *file_end = end;
    return true;
}

/* The first line of a stack trace whose file is not ours. The text is the engine's own, not a property. */
static bool lw_error_position(JSValueConst error, uint32_t *line, uint32_t *column)
{
    JSValueConst stack;
    const char *text, *p, *end, *next, *file, *file_end;
    size_t len;
    uint32_t at_line, at_column;
    bool found = false;

    if (!JS_IsError(error))
        return false;
    stack = JS_VALUE_GET_OBJ(error)->u.object_data;
    if (!JS_IsString(stack))
        return false;
    text = JS_ToCStringLen(lw_ctx, &len, stack);
    if (!text) {
        JS_FreeValue(lw_ctx, JS_GetException(lw_ctx));
        return false;
    }
    for (p = text, end = text + len; p < end && !found; p = next) {
        const char *stop = memchr(p, '\n', end - p);
        next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        if (!lw_read_place(p, stop, &at_line, &at_column, &file_end))
            continue;
        for (file = file_end; file > p && file[-1] != '(' && file[-1] != ' '; file--)
            ;
        found = (size_t)(file_end - file) < sizeof(LW_OWN_PREFIX) - 1 ||
                memcmp(file, LW_OWN_PREFIX, sizeof(LW_OWN_PREFIX) - 1);
    }
    JS_FreeCString(lw_ctx, text);
    if (found) {
        *line = at_line;
        *column = at_column;
    }
    return found;
}

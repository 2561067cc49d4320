// cairo with its PDF surface, and the one function of its FreeType part used here: <cairo/cairo-ft.h> wants FreeType's own headers, which
// lie in a folder that no compiler searches unasked.
#pragma once
#include <cairo/cairo-pdf.h>
#include <fontconfig/fontconfig.h>

cairo_font_face_t *cairo_ft_font_face_create_for_pattern(FcPattern *pattern);

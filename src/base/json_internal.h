/* Private to base: what building and reading JSON share. */
#ifndef MDL_JSON_INTERNAL_H
#define MDL_JSON_INTERNAL_H

/* Let jansson allocate by ours; before its first allocation on any path. */
void mdl__json_prepare(void);

#endif

"""The window itself: frame, places, menus, dialogs, the control of runs."""

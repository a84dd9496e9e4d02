// Tests of ControllerManager.

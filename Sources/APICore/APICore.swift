// APICore
